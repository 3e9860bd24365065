package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/store"
)

// Images resolves Query.images.
func (r query) Images(ctx context.Context, after *string, first *int, before *string, last *int, where *generated.ImageFilter, orderBy *generated.ImageOrder) (*generated.ImageConnection, error) {
	var filter image.Filter
	if where != nil {
		filter = image.Filter{
			ReferenceContains: where.ReferenceContains, Status: where.Status, Source: where.Source,
			Visibility: where.Visibility, OwnerID: where.OwnerID, SharedWithMe: where.SharedWithMe,
		}
	}
	slice, err := r.Resolver.Images.List(ctx, filter, imageOrder(orderBy),
		store.Page{First: first, Last: last, After: after, Before: before}, asked(ctx, "edges", "node", "owner"))
	if err != nil {
		return nil, err
	}
	c := &generated.ImageConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.Image) *generated.ImageEdge {
		return &generated.ImageEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Resolver.Images.Count(ctx, filter)
	}
	return c, err
}

func imageOrder(o *generated.ImageOrder) store.Order {
	if o == nil {
		return store.Order{Column: entimage.FieldCreatedAt, Desc: true}
	}
	column := map[generated.ImageOrderField]string{
		generated.ImageOrderFieldCreatedAt: entimage.FieldCreatedAt,
		generated.ImageOrderFieldReference: entimage.FieldReference,
		generated.ImageOrderFieldSize:      entimage.FieldSize,
	}[o.Field]
	return store.Order{Column: column, Desc: o.Direction == generated.OrderDirectionDesc}
}

// ImageCatalogue resolves Query.imageCatalogue.
func (r query) ImageCatalogue(context.Context) ([]*generated.CatalogueEntry, error) {
	var out []*generated.CatalogueEntry
	for _, e := range r.Resolver.Images.Catalogue() {
		entry := &generated.CatalogueEntry{Name: e.Name, Reference: e.Reference, Description: e.Description, MinMemory: e.MinMemory}
		if e.Port != 0 {
			entry.Port = &e.Port
		}
		out = append(out, entry)
	}
	return out, nil
}

func imagePayload(row *ent.Image, err error) (*generated.ImagePayload, error) {
	if err != nil {
		return nil, err
	}
	return &generated.ImagePayload{Image: row}, nil
}

// PullImage resolves Mutation.pullImage.
func (r mutation) PullImage(ctx context.Context, in generated.PullImageInput) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.Pull(ctx, image.Input{
		Reference: in.Reference, PreferSlim: in.PreferSlim, MinCPU: in.MinCPU, MinMemory: in.MinMemory, MinGPU: in.MinGpu,
	}))
}

// CancelImage resolves Mutation.cancelImage.
func (r mutation) CancelImage(ctx context.Context, id string) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.Cancel(ctx, id))
}

// DeleteImage resolves Mutation.deleteImage.
func (r mutation) DeleteImage(ctx context.Context, id string) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.Delete(ctx, id))
}

// Owner resolves Image.owner: null for whoever may not see the person.
func (r imageFields) Owner(ctx context.Context, i *ent.Image) (*ent.User, error) {
	owner, err := i.Edges.OwnerOrErr()
	if ent.IsNotLoaded(err) && i.OwnerID != nil {
		return r.Account.Find(ctx, *i.OwnerID)
	}
	return owner, nil
}

// Progress resolves Image.progress.
func (r imageFields) Progress(_ context.Context, i *ent.Image) (*generated.ImageProgress, error) {
	p, underWay := r.Resolver.Images.Progress(i.ID)
	if !underWay || i.Status != entimage.StatusPulling {
		return r.buildProgress(i), nil
	}
	out := &generated.ImageProgress{CurrentBytes: record.Bytes(p.Current), Layers: []*generated.LayerProgress{}}
	if percent, known := p.Percent(); known {
		total := record.Bytes(p.Total)
		out.TotalBytes, out.Percent = &total, &percent
	}
	for _, l := range p.Layers {
		layer := &generated.LayerProgress{ID: l.ID, State: l.State, CurrentBytes: record.Bytes(l.Current)}
		if l.Total > 0 {
			size := record.Bytes(l.Total)
			layer.TotalBytes = &size
		}
		out.Layers = append(out.Layers, layer)
	}
	return out, nil
}

// ImageChanged resolves Subscription.imageChanged.
func (r subscription) ImageChanged(ctx context.Context, id *string, all *bool) (<-chan *generated.ImageChange, error) {
	changes, err := r.Resolver.Images.Watch(ctx, value(id), value(all))
	if err != nil {
		return nil, err
	}
	return convert(ctx, changes, func(c image.Change) *generated.ImageChange {
		return &generated.ImageChange{Kind: changeKind(c.Op), ID: c.ID, Image: c.Image}
	}), nil
}
