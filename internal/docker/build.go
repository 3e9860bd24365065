package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-units"

	"github.com/mlride/mlride/internal/engine"
)

// labelBuild is on the network of a build and on its layers; its value is the
// instance. It is not labelInstance, so that neither is taken for what an owner has.
const labelBuild = "mlride.build"

const (
	// buildOpening is how long the engine may take until it begins: it sends
	// nothing before its first step.
	buildOpening = 2 * time.Minute
	// buildClearing bounds what is done after a build, whatever came of it.
	buildClearing = time.Minute
)

// Build has the engine's classic builder build; it is the one of every version.
func (e *Engine) Build(ctx context.Context, spec engine.BuildSpec, told func(engine.BuildProgress)) (engine.ImageInfo, error) {
	if err := e.checkBases(ctx, spec.Bases); err != nil {
		return engine.ImageInfo{}, err
	}
	name := buildNetwork(spec.ID)
	leave, err := e.networks.choosing.lock(ctx, "")
	if err != nil {
		return engine.ImageInfo{}, err
	}
	err = e.makeBuildNetwork(ctx, name, spec)
	leave()
	// What follows is short, and must be done also when the caller gave up.
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), buildClearing)
		defer cancel()
		_ = e.clearBuild(after, spec.ID) // else the sweep does it
	}()
	if err != nil {
		return engine.ImageInfo{}, err
	}
	parent, err := e.buildGroup(ctx, spec)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	if parent == "" {
		bounding, cancel := context.WithCancel(ctx)
		bounded := make(chan struct{})
		go func() {
			defer close(bounded)
			e.boundSteps(bounding, spec)
		}()
		defer func() { cancel(); <-bounded }()
		told(engine.BuildProgress{Output: []byte("[This engine bounds each step by itself, not the build as a whole.]\n")})
	}
	if err := e.build(ctx, spec, parent, told); err != nil {
		return engine.ImageInfo{}, err
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	return e.InspectImage(after, spec.ID)
}

// buildNetwork is whose network a build's is, in the words of networkName.
func buildNetwork(id string) string { return "build-" + id }

// checkBases refuses a base that brings instructions for whoever builds on it
// which we would not take: the builder would fetch them from the host's network.
func (e *Engine) checkBases(ctx context.Context, bases []string) error {
	for _, base := range bases {
		found, err := e.inspectImage(ctx, base)
		if errors.Is(err, engine.ErrNotFound) {
			return as(engine.ErrImageMissing, err)
		}
		if err != nil {
			return err
		}
		if found.Config == nil {
			continue
		}
		for _, trigger := range found.Config.OnBuild {
			word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(trigger)), " ")
			if strings.HasPrefix(word, "ADD") || strings.HasPrefix(word, "COPY") {
				return fmt.Errorf("%w: the base brings an instruction of its own that is not taken here (ONBUILD %s)", engine.ErrRefused, word)
			}
		}
	}
	return nil
}

// makeBuildNetwork makes the network of the build alone. The caller holds choosing.
func (e *Engine) makeBuildNetwork(ctx context.Context, name string, spec engine.BuildSpec) error {
	return e.makeLabelled(ctx, name, 1, map[string]string{labelBuild: e.opts.Instance, labelID: spec.ID})
}

// marked puts a label of ours behind each FROM, so that layers which builds leave
// are known; it is the same in every build, so they are reused.
func (e *Engine) marked(dockerfile string) string {
	var b strings.Builder
	for line := range strings.Lines(dockerfile) {
		b.WriteString(line)
		if strings.HasPrefix(line, "FROM ") {
			fmt.Fprintf(&b, "LABEL %s=%s\n", labelBuild, e.opts.Instance)
		}
	}
	return b.String()
}

// buildContext is what the builder is sent: the Dockerfile and no file besides.
func buildContext(dockerfile string) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o600, Size: int64(len(dockerfile))}); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, dockerfile); err != nil {
		return nil, err
	}
	return &buf, w.Close()
}

func (e *Engine) buildOptions(spec engine.BuildSpec, parent string) build.ImageBuildOptions {
	const period = 100_000 // microseconds
	args := map[string]*string{}
	for name, value := range spec.Args {
		args[name] = &value
	}
	return build.ImageBuildOptions{
		Version: build.BuilderV1, Tags: []string{imageTag(e.opts.Instance, spec.ID)},
		Remove: true, ForceRemove: true, NoCache: spec.Fresh, BuildArgs: args,
		NetworkMode: networkName(e.opts.Instance, buildNetwork(spec.ID)), CgroupParent: parent,
		Memory: spec.Limits.Memory, MemorySwap: spec.Limits.Memory,
		CPUPeriod: period, CPUQuota: spec.Limits.NanoCPUs * period / 1e9,
		Ulimits: []*units.Ulimit{{Name: "nofile", Soft: openFiles, Hard: openFiles}},
		Labels:  map[string]string{labelInstance: e.opts.Instance, labelOwner: spec.Owner, labelID: spec.ID},
	}
}

// buildMessage is one line of a build's stream.
type buildMessage struct {
	Stream, Status string
	Error          *struct {
		Code    int
		Message string
	} `json:"errorDetail"`
}

// stepLine is how the builder announces a step. What a step prints may look the
// same: it then tells wrong of its own build's progress, and of nothing else.
var stepLine = regexp.MustCompile(`^Step (\d{1,4})/(\d{1,4}) : `)

func (e *Engine) build(ctx context.Context, spec engine.BuildSpec, parent string, told func(engine.BuildProgress)) error {
	content, err := buildContext(e.marked(spec.Dockerfile))
	if err != nil {
		return err
	}
	return e.stream(ctx, buildOpening, func(inner context.Context, c *client.Client, opened func()) error {
		answer, err := c.ImageBuild(inner, content, e.buildOptions(spec, parent))
		if err != nil {
			return translateBuild(ctx, err)
		}
		opened()
		defer answer.Body.Close()
		for decoder := json.NewDecoder(answer.Body); ; {
			var m buildMessage
			if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if m.Error != nil {
				return translateBuild(ctx, errors.New(m.Error.Message))
			}
			p := engine.BuildProgress{Output: []byte(m.Stream)}
			if at := stepLine.FindStringSubmatch(m.Stream); at != nil {
				p.Step, _ = strconv.Atoi(at[1])
				p.Steps, _ = strconv.Atoi(at[2])
			}
			told(p)
		}
	})
}

// translateBuild tells what a build answered, before its stream or within it.
func translateBuild(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch told := translate(ctx, err); {
	case errors.Is(told, engine.ErrUnreachable), errors.Is(told, engine.ErrDiskFull), errors.Is(told, engine.ErrBusy):
		return told
	case errors.Is(told, engine.ErrNotFound), strings.HasPrefix(err.Error(), "No such image: "):
		return as(engine.ErrImageMissing, err)
	default:
		return as(engine.ErrBuild, err)
	}
}

// clearBuild removes what is left of a build: its containers, its network and
// its control group. Containers are known by the network alone, for labels come
// from whoever wrote the Dockerfile.
func (e *Engine) clearBuild(ctx context.Context, id string) error {
	name := networkName(e.opts.Instance, buildNetwork(id))
	err := e.until(ctx, func() (bool, error) {
		rows, err := e.containersOn(ctx, name)
		if err != nil || len(rows) == 0 {
			return true, err
		}
		for _, row := range rows {
			// One that the builder removes at the same time is "busy": look again.
			err := e.call(ctx, removeTimeout, func(ctx context.Context, c *client.Client) error {
				return c.ContainerRemove(ctx, row, container.RemoveOptions{Force: true, RemoveVolumes: true})
			})
			if err != nil && !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrBusy) {
				return true, err
			}
		}
		return false, nil
	})
	if err == nil {
		err = e.removeNetwork(ctx, name)
	}
	return errors.Join(err, e.removeBuildGroup(id))
}

// containersOn are the engine's ids of all containers that were made for a network.
func (e *Engine) containersOn(ctx context.Context, network string) ([]string, error) {
	var ids []string
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		rows, err := c.ContainerList(ctx, container.ListOptions{All: true})
		for _, row := range rows {
			if row.HostConfig.NetworkMode == network {
				ids = append(ids, row.ID)
			}
		}
		return err
	})
	return ids, err
}

// SweepBuilds removes what is left of builds that are not under way.
func (e *Engine) SweepBuilds(ctx context.Context, underWay func(id string) bool) error {
	var found []network.Summary
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.NetworkList(ctx, network.ListOptions{Filters: labelled(labelBuild, e.opts.Instance)})
		return err
	})
	var failed []error
	for _, n := range found {
		id := n.Labels[labelID]
		if n.Name == networkName(e.opts.Instance, buildNetwork(id)) && !underWay(id) {
			failed = append(failed, e.clearBuild(ctx, id))
		}
	}
	return errors.Join(append(failed, err)...)
}

// Commit saves a container as an image.
func (e *Engine) Commit(ctx context.Context, spec engine.CommitSpec) (engine.ImageInfo, error) {
	found, err := e.find(ctx, spec.Container)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	origin, err := e.inspectImage(ctx, found.Image)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return engine.ImageInfo{}, err
	}
	config := commitConfig(found.Config, origin)
	config.Labels[labelInstance], config.Labels[labelOwner], config.Labels[labelID] = e.opts.Instance, spec.Owner, spec.ID
	err = e.stream(ctx, spec.Timeout, func(ctx context.Context, c *client.Client, _ func()) error {
		// Without a pause: frozen for the time that a large layer takes, it would look
		// as if its owner had frozen it.
		_, err := c.ContainerCommit(ctx, found.ID, container.CommitOptions{
			Reference: imageTag(e.opts.Instance, spec.ID), Pause: false, Config: config,
		})
		return err
	})
	if err != nil {
		return engine.ImageInfo{}, err
	}
	return e.InspectImage(ctx, spec.ID)
}

// commitConfig is the image's own configuration. The engine adds from the
// container what it does not find in it; so the variables that the container was
// given are named without a value, which is "not set" when a container starts.
func commitConfig(own *container.Config, origin image.InspectResponse) *container.Config {
	config := &container.Config{Labels: map[string]string{}}
	if c := origin.Config; c != nil {
		config.Env, config.Cmd, config.Entrypoint, config.WorkingDir, config.User = c.Env, c.Cmd, c.Entrypoint, c.WorkingDir, c.User
		config.Shell, config.StopSignal = c.Shell, c.StopSignal
		for name, value := range c.Labels {
			if !strings.HasPrefix(name, "mlride.") {
				config.Labels[name] = value
			}
		}
	}
	if config.WorkingDir == "" {
		config.WorkingDir = "/"
	}
	has := map[string]bool{}
	for _, entry := range config.Env {
		name, _, _ := strings.Cut(entry, "=")
		has[name] = true
	}
	for _, entry := range own.Env {
		if name, _, _ := strings.Cut(entry, "="); !has[name] {
			config.Env = append(config.Env, name)
			has[name] = true
		}
	}
	return config
}
