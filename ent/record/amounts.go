package record

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Cores is an amount of processor time in thousandths of a core. It is an
// integer so that a ledger which adds and takes away for years stays exact.
// On the wire it is a GraphQL Float in cores.
type Cores int64

// CoresOf rounds cores to the nearest thousandth.
func CoresOf(cores float64) Cores { return Cores(math.Round(cores * 1000)) }

// Float is the amount in cores.
func (c Cores) Float() float64 { return float64(c) / 1000 }

// Nano is the amount in billionths of a core, the engine's unit.
func (c Cores) Nano() int64 { return int64(c) * 1_000_000 }

// String prints the amount without trailing zeros: "1.5".
func (c Cores) String() string { return strconv.FormatFloat(c.Float(), 'f', -1, 64) }

// MarshalGQL writes a Float.
func (c Cores) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, c.String()) }

// UnmarshalGQL reads a Float or an Int. What is not a finite number, or is so
// large that it would not fit, is refused.
func (c *Cores) UnmarshalGQL(v any) error {
	f, err := number(v)
	if err != nil {
		return fmt.Errorf("takes a number of cores such as 0.5: %w", err)
	}
	if math.Abs(f) > 1e6 {
		return fmt.Errorf("takes a number of cores such as 0.5, at most 1000000")
	}
	*c = CoresOf(f)
	return nil
}

// Bytes is a count of bytes. On the wire it is a JSON number; input also takes
// text with a unit, of which KiB, MiB, GiB and their short forms k, m, g are
// powers of 1,024, as on the docker command line.
type Bytes int64

// MaxBytes is the largest count that a JSON number holds exactly.
const MaxBytes Bytes = 1 << 53

// The usual units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String prints the amount for a person: "512 MiB".
func (b Bytes) String() string {
	switch {
	case b >= GiB && b%GiB == 0:
		return fmt.Sprintf("%d GiB", b/GiB)
	case b >= 10*GiB:
		return fmt.Sprintf("%.1f GiB", float64(b)/float64(GiB))
	case b >= MiB && b%MiB == 0:
		return fmt.Sprintf("%d MiB", b/MiB)
	case b >= MiB:
		return fmt.Sprintf("%.1f MiB", float64(b)/float64(MiB))
	case b >= KiB && b%KiB == 0:
		return fmt.Sprintf("%d KiB", b/KiB)
	default:
		return fmt.Sprintf("%d bytes", int64(b))
	}
}

// ParseBytes reads "512MiB", "2GiB", "1.5G" or a plain number of bytes.
func ParseBytes(text string) (Bytes, error) {
	n, err := units.RAMInBytes(strings.TrimSpace(text))
	if err != nil || n < 0 || Bytes(n) > MaxBytes {
		return 0, fmt.Errorf("takes bytes such as 536870912, 512MiB or 2GiB, not %q", text)
	}
	return Bytes(n), nil
}

// MarshalGQL writes a JSON number.
func (b Bytes) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.FormatInt(int64(b), 10)) }

// UnmarshalGQL reads a whole number or text with a unit.
func (b *Bytes) UnmarshalGQL(v any) error {
	if text, ok := v.(string); ok {
		parsed, err := ParseBytes(text)
		*b = parsed
		return err
	}
	f, err := number(v)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > float64(MaxBytes) {
		return fmt.Errorf("takes bytes such as 536870912, \"512MiB\" or \"2GiB\"")
	}
	*b = Bytes(f)
	return nil
}

// Duration is a length of time; on the wire "90s", "30m" or "8h".
type Duration time.Duration

// MarshalGQL writes text as Go prints it, without empty parts: "8h", "1m30s".
func (d Duration) MarshalGQL(w io.Writer) {
	_, _ = io.WriteString(w, strconv.Quote(d.String()))
}

// String prints the length without empty parts.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalGQL reads text such as "30m".
func (d *Duration) UnmarshalGQL(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("takes a duration such as \"90s\", \"30m\" or \"8h\"")
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("takes a duration such as \"90s\", \"30m\" or \"8h\", not %q", text)
	}
	*d = Duration(parsed)
	return nil
}

// Time is written to the API in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// FormatTime prints t as the API does.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

func number(v any) (float64, error) {
	var f float64
	switch n := v.(type) {
	case float64:
		f = n
	case int64:
		f = float64(n)
	case int:
		f = float64(n)
	case json.Number:
		parsed, err := n.Float64()
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", n)
		}
		f = parsed
	default:
		return 0, fmt.Errorf("not a number")
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("not a finite number")
	}
	return f, nil
}
