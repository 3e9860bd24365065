package graph

import (
	"context"
	"time"

	"github.com/mlride/mlride/ent"
	entcontainer "github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// Containers resolves Query.containers.
func (r query) Containers(ctx context.Context, after *string, first *int, before *string, last *int, where *generated.ContainerFilter, orderBy *generated.ContainerOrder) (*generated.ContainerConnection, error) {
	filter := containerFilter(where)
	slice, err := r.Lifecycle.List(ctx, filter, containerOrder(orderBy),
		store.Page{First: first, Last: last, After: after, Before: before},
		lifecycle.Load{Owner: asked(ctx, "edges", "node", "owner"), Image: asked(ctx, "edges", "node", "image")})
	if err != nil {
		return nil, err
	}
	c := &generated.ContainerConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.Container) *generated.ContainerEdge {
		return &generated.ContainerEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Lifecycle.Count(ctx, filter)
	}
	return c, err
}

func containerFilter(f *generated.ContainerFilter) lifecycle.Filter {
	if f == nil {
		return lifecycle.Filter{}
	}
	return lifecycle.Filter{
		NameContains: f.NameContains, Status: f.Status, ImageID: f.ImageID, OwnerID: f.OwnerID,
		CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore,
	}
}

func containerOrder(o *generated.ContainerOrder) store.Order {
	if o == nil {
		return store.Order{Column: entcontainer.FieldCreatedAt, Desc: true}
	}
	column := map[generated.ContainerOrderField]string{
		generated.ContainerOrderFieldCreatedAt: entcontainer.FieldCreatedAt,
		generated.ContainerOrderFieldName:      entcontainer.FieldName,
		generated.ContainerOrderFieldStatus:    entcontainer.FieldStatus,
	}[o.Field]
	return store.Order{Column: column, Desc: o.Direction == generated.OrderDirectionDesc}
}

func wanted(in generated.CreateContainerInput) lifecycle.Wanted {
	environment := make([]record.EnvVar, len(in.Environment))
	for i, v := range in.Environment {
		environment[i] = *v
	}
	mounts := make([]volume.Wanted, len(in.Volumes))
	for i, m := range in.Volumes {
		mounts[i] = volume.Wanted{VolumeID: m.VolumeID, Path: m.Path, ReadOnly: m.ReadOnly}
	}
	return lifecycle.Wanted{
		Name: in.Name, ImageID: in.ImageID, CPU: in.CPULimit, Memory: in.MemoryLimit, GPU: in.GpuLimit,
		Command: in.Command, Environment: environment, RestartPolicy: in.RestartPolicy,
		Start: in.Start, IdempotencyKey: in.IdempotencyKey, Queue: in.WhenFull == generated.WhenFullQueue,
		Mounts: mounts, Workspace: in.Workspace, IdleTimeout: in.IdleTimeout, Ports: ports(in.Ports),
	}
}

// Admission resolves Query.admission.
func (r query) Admission(ctx context.Context, input generated.CreateContainerInput) (*generated.Admission, error) {
	a, err := r.Lifecycle.Admission(ctx, wanted(input))
	if err != nil {
		return nil, err
	}
	out := &generated.Admission{
		Allowed: len(a.Problems) == 0, WouldQueue: a.WouldQueue, Problems: []*generated.AdmissionProblem{},
		Largest: amounts(a.Largest), Freeing: a.Freeing,
	}
	for _, p := range a.Problems {
		out.Problems = append(out.Problems, problem(p))
	}
	return out, nil
}

func amounts(a quota.Amounts) *generated.ResourceAmounts {
	return &generated.ResourceAmounts{CPU: a.CPU.Float(), Memory: a.Memory, Gpu: a.GPU}
}

func problem(p quota.Problem) *generated.AdmissionProblem {
	out := &generated.AdmissionProblem{Code: string(p.Code), Message: p.Message}
	if p.Resource != "" {
		out.Resource, out.Limit, out.Used, out.Requested = &p.Resource, &p.Limit, &p.Used, &p.Requested
	}
	return out
}

func containerPayload(row *ent.Container, err error) (*generated.ContainerPayload, error) {
	if err != nil {
		return nil, err
	}
	return &generated.ContainerPayload{Container: row}, nil
}

// CreateContainer resolves Mutation.createContainer.
func (r mutation) CreateContainer(ctx context.Context, input generated.CreateContainerInput) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Create(ctx, wanted(input)))
}

// StartContainer resolves Mutation.startContainer.
func (r mutation) StartContainer(ctx context.Context, id string, whenFull *generated.WhenFull) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Start(ctx, id, queues(whenFull)))
}

// queues says whether the caller would rather wait than be refused.
func queues(w *generated.WhenFull) bool { return w != nil && *w == generated.WhenFullQueue }

// StopContainer resolves Mutation.stopContainer.
func (r mutation) StopContainer(ctx context.Context, id string, timeout *record.Duration) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Stop(ctx, id, grace(timeout)))
}

// RestartContainer resolves Mutation.restartContainer.
func (r mutation) RestartContainer(ctx context.Context, id string, timeout *record.Duration) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Restart(ctx, id, grace(timeout)))
}

// defaultGrace stands where null was given; the schema says the same of absence.
const defaultGrace = 10 * time.Second

func grace(d *record.Duration) time.Duration {
	if d == nil {
		return defaultGrace
	}
	return time.Duration(*d)
}

// PauseContainer resolves Mutation.pauseContainer.
func (r mutation) PauseContainer(ctx context.Context, id string) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Pause(ctx, id))
}

// UnpauseContainer resolves Mutation.unpauseContainer.
func (r mutation) UnpauseContainer(ctx context.Context, id string) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Unpause(ctx, id))
}

// KeepContainer resolves Mutation.keepContainer.
func (r mutation) KeepContainer(ctx context.Context, id string) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Keep(ctx, id))
}

// UpdateContainer resolves Mutation.updateContainer.
func (r mutation) UpdateContainer(ctx context.Context, id string, in generated.UpdateContainerInput) (*generated.ContainerPayload, error) {
	edit := lifecycle.Edit{
		Name: in.Name, CPU: in.CPULimit, Memory: in.MemoryLimit, RestartPolicy: in.RestartPolicy, IdleTimeout: in.IdleTimeout,
	}
	if in.Ports != nil {
		wanted := ports(in.Ports)
		edit.Ports = &wanted
	}
	return containerPayload(r.Lifecycle.Update(ctx, id, edit))
}

// RemoveContainer resolves Mutation.removeContainer.
func (r mutation) RemoveContainer(ctx context.Context, id string) (*generated.ContainerPayload, error) {
	return containerPayload(r.Lifecycle.Remove(ctx, id))
}

// StartContainers resolves Mutation.startContainers.
func (r mutation) StartContainers(ctx context.Context, ids []string) ([]*generated.ContainerResult, error) {
	return results(lifecycle.Each(ctx, ids, func(ctx context.Context, id string) (*ent.Container, error) {
		return r.Lifecycle.Start(ctx, id, false)
	}))
}

// StopContainers resolves Mutation.stopContainers.
func (r mutation) StopContainers(ctx context.Context, ids []string) ([]*generated.ContainerResult, error) {
	return results(lifecycle.Each(ctx, ids, func(ctx context.Context, id string) (*ent.Container, error) {
		return r.Lifecycle.Stop(ctx, id, defaultGrace)
	}))
}

// RemoveContainers resolves Mutation.removeContainers.
func (r mutation) RemoveContainers(ctx context.Context, ids []string) ([]*generated.ContainerResult, error) {
	return results(lifecycle.Each(ctx, ids, r.Lifecycle.Remove))
}

func results(list []lifecycle.Result, err error) ([]*generated.ContainerResult, error) {
	if err != nil {
		return nil, err
	}
	out := make([]*generated.ContainerResult, len(list))
	for i, result := range list {
		out[i] = &generated.ContainerResult{ID: result.ID, Container: result.Container}
		if result.Err != nil {
			f := fault.Of(result.Err)
			code := string(f.Code)
			out[i].Code, out[i].Message = &code, &f.Message
		}
	}
	return out, nil
}

// Owner resolves Container.owner: null for whoever may not see the person.
func (r container) Owner(ctx context.Context, c *ent.Container) (*ent.User, error) {
	owner, err := c.Edges.OwnerOrErr()
	if ent.IsNotLoaded(err) {
		return r.Account.Find(ctx, c.OwnerID)
	}
	return owner, nil
}

// Image resolves Container.image.
func (r container) Image(ctx context.Context, c *ent.Container) (*ent.Image, error) {
	if img, err := c.Edges.ImageOrErr(); err == nil {
		return img, nil
	}
	return r.Images.Get(ctx, c.ImageID)
}

// Events resolves Container.events.
func (r container) Events(ctx context.Context, c *ent.Container, first *int) ([]*ent.ContainerEvent, error) {
	n := 50
	if first != nil {
		n = *first
	}
	return r.Lifecycle.Events(ctx, c.ID, n)
}

// Actor resolves ContainerEvent.actor: null for whoever may not see the person.
func (r event) Actor(_ context.Context, e *ent.ContainerEvent) (*ent.User, error) {
	return e.Edges.Actor, nil
}

// ContainerChanged resolves Subscription.containerChanged.
func (r subscription) ContainerChanged(ctx context.Context, id *string, all *bool) (<-chan *generated.ContainerChange, error) {
	changes, err := r.Lifecycle.Watch(ctx, value(id), value(all))
	if err != nil {
		return nil, err
	}
	return convert(ctx, changes, func(c lifecycle.Change) *generated.ContainerChange {
		return &generated.ContainerChange{Kind: changeKind(c.Op), ID: c.ID, Container: c.Container}
	}), nil
}

func changeKind(op live.Op) generated.ChangeKind {
	switch op {
	case live.Created:
		return generated.ChangeKindCreated
	case live.Removed:
		return generated.ChangeKindRemoved
	case live.Updated:
	}
	return generated.ChangeKindUpdated
}

// value is what p points to, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// convert hands a stream on in the API's types. It ends with in or ctx and
// holds nothing back: the one before it decides what a slow reader gets.
func convert[From, To any](ctx context.Context, in <-chan From, to func(From) To) <-chan To {
	out := make(chan To)
	go func() {
		defer close(out)
		for v := range in {
			select {
			case out <- to(v):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
