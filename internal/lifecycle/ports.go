package lifecycle

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/fault"
)

const (
	maxPorts    = 20
	maxPortName = 32 // characters
	lastPort    = 65535
)

// checkPorts tells all that is wrong with the ports that are asked for.
func checkPorts(check *fault.Check, ports []record.Port) {
	check.That(len(ports) <= maxPorts, "ports", "size", "A container has at most %d ports.", maxPorts)
	names, numbers := map[string]bool{}, map[int]bool{}
	for i, p := range ports {
		name, number := fmt.Sprintf("ports.%d.name", i), fmt.Sprintf("ports.%d.port", i)
		check.That(isPortName(p.Name), name, "format",
			"A port's name is 1 to %d characters, neither beginning nor ending with a space, without control characters.", maxPortName)
		check.That(!names[p.Name], name, "unique", "The name %s is there twice.", p.Name)
		check.That(p.Port >= 1 && p.Port <= lastPort, number, "range", "A port is 1 to %d.", lastPort)
		check.That(!numbers[p.Port], number, "unique", "The port %d is there twice.", p.Port)
		names[p.Name], numbers[p.Port] = true, true
	}
}

func isPortName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= maxPortName && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
}

func describePorts(ports []record.Port) string {
	if len(ports) == 0 {
		return "none"
	}
	words := make([]string, len(ports))
	for i, p := range ports {
		words[i] = strconv.Itoa(p.Port)
	}
	return strings.Join(words, " ")
}

// portEnvironment tells programs under which path they are reached: those that
// write absolute links need to know. The one for all ports has {port} in it, for
// those that are declared later.
func (s *Service) portEnvironment(row *ent.Container) []string {
	if s.PortPrefix == nil {
		return nil
	}
	const anyPort = 1
	any := strings.Replace(s.PortPrefix(row.ID, anyPort), "/"+strconv.Itoa(anyPort)+"/", "/{port}/", 1)
	list := []string{"MLRIDE_PORT_PREFIX=" + any}
	for _, p := range row.Ports {
		list = append(list, fmt.Sprintf("MLRIDE_PORT_PREFIX_%d=%s", p.Port, s.PortPrefix(row.ID, p.Port)))
	}
	return list
}
