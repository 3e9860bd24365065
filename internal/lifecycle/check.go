package lifecycle

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/volume"
)

// Wanted is a container that somebody asks for. Nil leaves it to the image and the
// server's defaults.
type Wanted struct {
	Name           string
	ImageID        string
	CPU            *float64
	Memory         *record.Bytes
	GPU            *int
	Command        []string
	Environment    []record.EnvVar
	RestartPolicy  container.RestartPolicy
	Start          bool
	IdempotencyKey *string
	// Queue waits for room on the machine instead of being refused.
	Queue bool
	// Mounts are volumes in it; Workspace names one of the viewer's own that is
	// mounted as HOME and made where there is none.
	Mounts    []volume.Wanted
	Workspace *string
	// IdleTimeout is how long it may do nothing; nil is the operator's default.
	IdleTimeout *record.Duration
	// Ports are those in it that are reached through the server.
	Ports []record.Port
}

// The bounds of what may be asked for.
const (
	// minCPU is the engine's least: CFS periods of 100 ms in slices of 1 ms.
	minCPU = record.Cores(10)
	// defaultCPU lets five containers into the default quota.
	defaultCPU      = record.Cores(400)
	maxCPU          = 10_000
	maxCommand      = 64 << 10
	maxEnvironment  = 64 << 10
	maxKey          = 128
	maxGraceSeconds = 300
)

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

const nameRule = "A name is 1 to 63 of a–z, 0–9 and -, and neither begins nor ends with -."

// shape checks what can be checked of the input alone.
func (w Wanted) shape(check *fault.Check, minMemory record.Bytes) {
	check.That(dnsLabel.MatchString(w.Name), "name", "format", nameRule)
	checkCPU(check, w.CPU)
	checkMemory(check, w.Memory, minMemory)
	check.That(w.GPU == nil || *w.GPU >= 0, "gpuLimit", "range", "GPUs are 0 or more.")
	size := 0
	for i, word := range w.Command {
		size += len(word)
		check.That(!strings.ContainsRune(word, 0), fmt.Sprintf("command.%d", i), "format", "A command's words cannot contain NUL.")
	}
	check.That(size <= maxCommand, "command", "size", "A command is at most %d KiB.", maxCommand>>10)
	check.That(len(w.Command) == 0 || w.Command[0] != "", "command.0", "required", "The first word of a command names the program.")
	checkEnvironment(check, w.Environment)
	volume.CheckMounts(check, w.Mounts, w.Workspace)
	checkPorts(check, w.Ports)
	key := w.IdempotencyKey
	check.That(key == nil || *key != "" && len(*key) <= maxKey, "idempotencyKey", "size", "A key is 1 to %d bytes.", maxKey)
}

func checkCPU(check *fault.Check, cpu *float64) {
	check.That(cpu == nil || *cpu >= minCPU.Float() && *cpu <= maxCPU, "cpuLimit", "range", "Cores are %s to %d.", minCPU, maxCPU)
}

func checkMemory(check *fault.Check, memory *record.Bytes, least record.Bytes) {
	check.That(memory == nil || *memory >= least && *memory <= record.MaxBytes, "memoryLimit", "range", "Memory is at least %s here.", least)
}

func checkEnvironment(check *fault.Check, environment []record.EnvVar) {
	size, known := 0, map[string]bool{}
	for i, v := range environment {
		size += len(v.Name) + len(v.Value)
		field := fmt.Sprintf("environment.%d.name", i)
		check.That(variableName.MatchString(v.Name), field, "format", "A variable's name is letters, digits and _, and does not begin with a digit.")
		check.That(!known[v.Name], field, "unique", "The variable %s is there twice.", v.Name)
		known[v.Name] = true
		check.That(!strings.ContainsRune(v.Value, 0), fmt.Sprintf("environment.%d.value", i), "format", "A value cannot contain NUL.")
	}
	check.That(size <= maxEnvironment, "environment", "size", "All variables together are at most %d KiB.", maxEnvironment>>10)
}

// plan is what a Wanted comes to with the image's minima and the defaults.
type plan struct {
	Wanted
	image  *ent.Image
	limits quota.Amounts
}

// need is what making it takes from the quota.
func (p plan) need() quota.Need {
	n := quota.Need{Containers: 1}
	if p.Start {
		n.Amounts = p.limits
	}
	return n
}

// plan checks everything about w but the quota, and fills in what it leaves open.
func (s *Service) plan(ctx context.Context, w Wanted) (plan, error) {
	var check fault.Check
	w.shape(&check, s.MinMemory)
	s.Idleness.check(&check, w.IdleTimeout)
	img, err := s.Client.Image.Get(ctx, w.ImageID)
	if ent.IsNotFound(err) {
		if err := check.Err(); err != nil {
			return plan{}, err
		}
		return plan{}, fault.NoSuch("image", w.ImageID)
	}
	if err != nil {
		return plan{}, err
	}
	p := plan{Wanted: w, image: img, limits: quota.Amounts{
		CPU: max(defaultCPU, img.MinCPU), Memory: max(s.MinMemory, img.MinMemory), GPU: img.MinGpu,
	}}
	if w.CPU != nil {
		p.limits.CPU = record.CoresOf(*w.CPU)
		check.That(p.limits.CPU >= img.MinCPU, "cpuLimit", "imageMinimum", "This image needs at least %s cores.", img.MinCPU)
	}
	if w.Memory != nil {
		p.limits.Memory = *w.Memory
		check.That(p.limits.Memory >= img.MinMemory, "memoryLimit", "imageMinimum", "This image needs at least %s of memory.", img.MinMemory)
	}
	if w.GPU != nil {
		p.limits.GPU = *w.GPU
		check.That(p.limits.GPU >= img.MinGpu, "gpuLimit", "imageMinimum", "This image needs at least %d GPUs.", img.MinGpu)
	}
	if err := check.Err(); err != nil {
		return p, err
	}
	return p, s.Volumes.Check(ctx, w.Mounts, w.Workspace)
}

// checkMinima holds what a container has against what its image needs now: a newer
// pull may have raised it.
func checkMinima(check *fault.Check, img *ent.Image, a quota.Amounts) {
	check.That(a.CPU >= img.MinCPU, "cpuLimit", "imageMinimum", "Its image needs at least %s cores.", img.MinCPU)
	check.That(a.Memory >= img.MinMemory, "memoryLimit", "imageMinimum", "Its image needs at least %s of memory.", img.MinMemory)
	check.That(a.GPU >= img.MinGpu, "gpuLimit", "imageMinimum", "Its image needs at least %d GPUs.", img.MinGpu)
}

// ready says that containers can be made of the image.
func ready(img *ent.Image) error {
	if img.Status == image.StatusReady {
		return nil
	}
	message := fmt.Sprintf("The image %s is not ready: it is %s.", img.Reference, strings.ToLower(string(img.Status)))
	if img.StatusMessage != nil {
		message += " " + *img.StatusMessage
	}
	return fault.New(fault.ImageNotReady, "%s", message).With("status", string(img.Status))
}

// Admission is the answer to "can I, and if not, why not, and what would fit?".
type Admission struct {
	Problems []quota.Problem
	// WouldQueue says that asking to wait would help.
	WouldQueue bool
	Largest    quota.Amounts
	// Freeing are the viewer's own that would free enough if they were stopped.
	Freeing []*ent.Container
}

// Admission says what Create with the same input would say now, and changes
// nothing. Both ask the same functions.
func (s *Service) Admission(ctx context.Context, w Wanted) (Admission, error) {
	v, err := requireSignedIn(ctx)
	if err != nil {
		return Admission{}, err
	}
	p, planned := s.plan(ctx, w)
	books, err := s.Quota.Books(ctx, s.Client, v.UserID)
	if err != nil {
		return Admission{}, err
	}
	problems, largest := books.Problems(p.need()), books.Largest()
	if planned != nil {
		f := fault.Of(planned)
		if f.Code == fault.Internal {
			return Admission{}, planned
		}
		return Admission{Problems: []quota.Problem{{Code: f.Code, Message: f.Message}}, Largest: largest}, nil
	}
	a := Admission{Problems: problems, Largest: largest}
	full, err := s.diskProblems(ctx, v.UserID)
	if err != nil {
		return a, err
	}
	a.Problems = append(a.Problems, full...)
	if err := ready(p.image); err != nil {
		a.Problems = append(a.Problems, quota.Problem{Code: fault.ImageNotReady, Message: fault.Of(err).Message})
	}
	taken, err := s.Client.Container.Query().Where(container.OwnerID(v.UserID), container.Name(w.Name)).Exist(ctx)
	if err != nil {
		return Admission{}, err
	}
	if taken {
		a.Problems = append(a.Problems, quota.Problem{Code: fault.Conflict, Message: nameTaken(w.Name)})
	}
	a.WouldQueue = w.Start && quota.Waits(a.Problems)
	a.Freeing, err = s.freeing(ctx, s.Client, v.UserID, books, p.need(), "")
	return a, err
}

func nameTaken(name string) string {
	return fmt.Sprintf("You already have a container named %s.", name)
}
