package image

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// BuildOptions say how builds are done.
type BuildOptions struct {
	// Limits of one build; zeros take 2 cores, 4 GiB and 1,024 processes.
	Limits engine.BuildLimits
	// Time is how long one may take; 0 means an hour.
	Time time.Duration
	// Parallel is how many are under way at once; 0 means one.
	Parallel int
	// PipIndex and AptMirror are the operator's, empty for the public ones. One with
	// a password is not handed on: the image's history would keep it.
	PipIndex, AptMirror string
	// Proxies are build arguments that no history keeps, as HTTP_PROXY.
	Proxies map[string]string
}

func (o BuildOptions) withDefaults() BuildOptions {
	def := func(to *int64, value int64) {
		if *to == 0 {
			*to = value
		}
	}
	def(&o.Limits.NanoCPUs, 2e9)
	def(&o.Limits.Memory, int64(4*record.GiB))
	def(&o.Limits.Pids, 1024)
	if o.Time == 0 {
		o.Time = time.Hour
	}
	o.Parallel = max(1, o.Parallel)
	if strings.Contains(o.PipIndex, "@") {
		o.PipIndex = ""
	}
	if strings.Contains(o.AptMirror, "@") {
		o.AptMirror = ""
	}
	return o
}

// args are the build arguments of every build.
func (o BuildOptions) args() map[string]string {
	args := map[string]string{}
	for name, value := range o.Proxies {
		if value != "" {
			args[name], args[strings.ToLower(name)] = value, value
		}
	}
	if o.PipIndex != "" {
		args[pipArgument] = o.PipIndex
	}
	if o.AptMirror != "" {
		args[aptArgument] = strings.TrimSuffix(o.AptMirror, "/")
	}
	return args
}

// BuildInput is an image to build: from a Dockerfile, or from the form's fields.
type BuildInput struct {
	Name                     string
	Dockerfile               *string
	Base, Preset             *string
	Packages, SystemPackages []string
	MinCPU                   *float64
	MinMemory                *record.Bytes
	MinGPU                   *int
}

// Bases are what the form can begin from, the first one where nothing is said.
func (s *Service) Bases() []Base { return s.forms.bases }

// Presets are the sets of packages that the form offers.
func (s *Service) Presets() []Preset { return s.forms.presets }

// maxName is how many characters the name of an image may have.
const maxName = 64

func checkName(check *fault.Check, name string) {
	ok := utf8.ValidString(name) && strings.TrimSpace(name) == name
	for _, r := range name {
		ok = ok && unicode.IsPrint(r)
	}
	n := utf8.RuneCountInString(name)
	check.That(ok && n >= 1 && n <= maxName, "name", "format", "A name has 1 to %d printable characters, without a space at its ends.", maxName)
}

// plan is a build that was checked.
type plan struct {
	text string
	form *record.BuildForm
	file dockerfile
	min  Input
}

// plan checks all of in.
func (s *Service) plan(in BuildInput) (plan, error) {
	var check fault.Check
	checkName(&check, in.Name)
	p := plan{min: Input{Reference: "checked", MinCPU: in.MinCPU, MinMemory: in.MinMemory, MinGPU: in.MinGPU}}
	checkMinima(&check, s.MinMemory, in.MinCPU, in.MinMemory, in.MinGPU)
	if in.Dockerfile != nil {
		check.That(in.Base == nil && in.Preset == nil && len(in.Packages)+len(in.SystemPackages) == 0, "dockerfile", "exclusive",
			"Either a Dockerfile, or base, preset, packages and systemPackages.")
		p.text = *in.Dockerfile
		fits := len(p.text) <= maxDockerfile && utf8.ValidString(p.text)
		check.That(fits, "dockerfile", "length", "A Dockerfile has at most 64 KiB of text.")
		if !fits {
			return p, check.Err()
		}
	} else {
		p.form = s.checkForm(&check, in)
		if p.form == nil {
			return p, check.Err()
		}
		p.text = s.forms.generate(*p.form, mirrors{pip: s.Build.PipIndex != "", apt: s.Build.AptMirror != ""})
	}
	var problems []problem
	p.file, problems = parseDockerfile(p.text)
	for i, found := range problems {
		if i == 20 { // enough to go on with
			break
		}
		check.That(false, "dockerfile", "syntax", "%s", found)
	}
	return p, check.Err()
}

// checkForm gives what the form says; nil when something is wrong with it.
func (s *Service) checkForm(check *fault.Check, in BuildInput) *record.BuildForm {
	f := &record.BuildForm{Base: s.forms.bases[0].Name, Preset: in.Preset, Packages: []string{}, SystemPackages: []string{}}
	ok := true
	that := func(holds bool, field, rule, format string, args ...any) {
		ok = ok && holds
		check.That(holds, field, rule, format, args...)
	}
	if in.Base != nil {
		f.Base = *in.Base
		named, err := parse(f.Base)
		that(s.forms.base(f.Base) != nil || err == nil && !isOurs(named), "base", "format", "base takes a name of imageBases, or a reference such as debian:12-slim.")
	}
	if in.Preset != nil {
		p := s.forms.preset(*in.Preset)
		that(p != nil, "preset", "unknown", "preset takes a name of imagePresets.")
	}
	that(len(in.Packages) <= maxPackages, "packages", "length", "At most %d packages.", maxPackages)
	that(len(in.SystemPackages) <= maxPackages, "systemPackages", "length", "At most %d packages.", maxPackages)
	for _, p := range in.Packages[:min(len(in.Packages), maxPackages)] {
		that(validPackage(p), "packages", "format",
			"%.60q: a package looks like numpy, pandas==2.2.3 or scikit-learn[alldeps]>=1.5,<2; no addresses, options or conditions.", p)
	}
	for _, p := range in.SystemPackages[:min(len(in.SystemPackages), maxPackages)] {
		that(validSystemPackage(p), "systemPackages", "format", "%.60q: a system package looks like git, libgl1 or vim=2:9.0.1378-2.", p)
	}
	if !ok {
		return nil
	}
	f.Packages, f.SystemPackages = append(f.Packages, in.Packages...), append(f.SystemPackages, in.SystemPackages...)
	return f
}

// Preview is the Dockerfile that Build would build. BAD_USER_INPUT tells all that
// is wrong with in.
func (s *Service) Preview(ctx context.Context, in BuildInput) (string, error) {
	if _, err := auth.Require(ctx); err != nil {
		return "", err
	}
	p, err := s.plan(in)
	return p.text, err
}

// BuildImage records that the image is wanted and returns; the server does the rest.
// BAD_USER_INPUT tells all that is wrong with in, CONFLICT that one's own image has
// that name; QUOTA_EXCEEDED and LOW_DISK as for Pull.
func (s *Service) BuildImage(ctx context.Context, in BuildInput) (*ent.Image, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(in)
	if err != nil {
		return nil, err
	}
	return s.record(ctx, v.UserID, "image.build", in.Name, func(create *ent.ImageCreate) {
		memory := s.MinMemory
		if p.form != nil && p.form.Preset != nil {
			memory = max(memory, s.forms.preset(*p.form.Preset).MinMemory)
		}
		create.SetSource(image.SourceBuild).SetDockerfile(p.text).SetMinMemory(memory)
		if p.form != nil {
			create.SetForm(p.form)
		}
		p.min.minima(create.Mutation())
	})
}

// record makes the row of an image that is made here, with its place in the quota.
func (s *Service) record(ctx context.Context, owner, action, name string, set func(*ent.ImageCreate)) (*ent.Image, error) {
	if s.Room != nil {
		if err := s.Room(); err != nil {
			return nil, err
		}
	}
	if err := s.Quota.CheckDisk(ctx, owner); err != nil {
		return nil, err
	}
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		taken, err := tx.Image.Query().Where(image.OwnerID(owner), image.SourceNEQ(image.SourcePull), image.Reference(name)).Exist(ctx)
		if err != nil {
			return err
		}
		if taken {
			return fault.New(fault.Conflict, "You have an image of that name. Choose another, or delete that one.").With("field", "name")
		}
		if err := s.Quota.ReserveImage(ctx, tx, owner); err != nil {
			return err
		}
		create := tx.Image.Create().SetOwnerID(owner).SetReference(name).SetRequestedReference(name)
		set(create)
		if row, err = create.Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Target: row.ID, TargetName: name})
	})
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row, live.Created)
	s.begin(row.ID)
	return row, nil
}

// Dockerfile is what the image was built from; nil for whoever is neither its
// owner nor an administrator.
func (s *Service) Dockerfile(ctx context.Context, row *ent.Image) *string {
	if !mayRead(ctx, row) {
		return nil
	}
	return row.Dockerfile
}

// Form is what the form for it said; nil as with Dockerfile.
func (s *Service) Form(ctx context.Context, row *ent.Image) *record.BuildForm {
	if !mayRead(ctx, row) {
		return nil
	}
	return row.Form
}

func mayRead(ctx context.Context, row *ent.Image) bool {
	v, ok := auth.From(ctx)
	return ok && (v.SeesAll() || row.OwnerID != nil && *row.OwnerID == v.UserID)
}
