package image

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/imageshare"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// maxShares is how many people an image is shared with at most.
const maxShares = 100

// Edit is what to change of an image; nil stays.
type Edit struct {
	Visibility *image.Visibility
	MinCPU     *float64
	MinMemory  *record.Bytes
	MinGPU     *int
	// UserIDs and Usernames are together who sees it besides; both nil stays.
	UserIDs, Usernames []string
}

// check is what can be told of e alone.
func (e Edit) check(floor record.Bytes) fault.Check {
	var check fault.Check
	checkMinima(&check, floor, e.MinCPU, e.MinMemory, e.MinGPU)
	field := "sharedWithIds"
	if e.UserIDs == nil {
		field = "sharedWithUsernames"
	}
	check.That(len(e.UserIDs)+len(e.Usernames) <= maxShares, field, "size", "An image is shared with at most %d people.", maxShares)
	return check
}

// Update changes an image of one's own; administrators change everybody's, and
// only they publish (FORBIDDEN for others). BAD_USER_INPUT tells all that is wrong.
// Whoever has a container of it goes on seeing it.
func (s *Service) Update(ctx context.Context, id string, e Edit) (*ent.Image, error) {
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		if row, err = s.own(ctx, tx, id); err != nil {
			return err
		}
		if e.Visibility != nil && *e.Visibility == image.VisibilityPublic && row.Visibility != image.VisibilityPublic && !auth.Of(ctx).SeesAll() {
			return fault.New(fault.Forbidden, "Only administrators publish images. Share it with people by name, or ask an administrator.")
		}
		if row.Status == image.StatusDeleting {
			return fault.New(fault.InvalidState, "The image is being deleted.").With("status", string(row.Status))
		}
		check := e.check(s.MinMemory)
		var people []*ent.User
		if check.OK() {
			if people, err = named(ctx, tx, &check, e); err != nil {
				return err
			}
		}
		if err := check.Err(); err != nil {
			return err
		}
		var said []string
		if e.UserIDs != nil || e.Usernames != nil {
			if said, err = share(ctx, tx, row, people); err != nil {
				return err
			}
		}
		up := row.Update()
		said = append(said, e.apply(up.Mutation(), row)...)
		if len(said) == 0 {
			return nil
		}
		if len(up.Mutation().Fields()) > 0 {
			if row, err = up.Save(ctx); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.update", Target: id, TargetName: row.Reference, Detail: strings.Join(said, ", ")})
	})
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row, live.Updated)
	return row, nil
}

// apply sets what differs, and says what that is.
func (e Edit) apply(m *ent.ImageMutation, row *ent.Image) (said []string) {
	tell := func(what string, was, is any) { said = append(said, fmt.Sprintf("%s %v → %v", what, was, is)) }
	if e.Visibility != nil && *e.Visibility != row.Visibility {
		m.SetVisibility(*e.Visibility)
		tell("visibility", row.Visibility, *e.Visibility)
	}
	if e.MinCPU != nil && record.CoresOf(*e.MinCPU) != row.MinCPU {
		m.SetMinCPU(record.CoresOf(*e.MinCPU))
		tell("minCpu", row.MinCPU, record.CoresOf(*e.MinCPU))
	}
	if e.MinMemory != nil && *e.MinMemory != row.MinMemory {
		m.SetMinMemory(*e.MinMemory)
		tell("minMemory", row.MinMemory, *e.MinMemory)
	}
	if e.MinGPU != nil && *e.MinGPU != row.MinGpu {
		m.SetMinGpu(*e.MinGPU)
		tell("minGpu", row.MinGpu, *e.MinGPU)
	}
	return said
}

// named are the people whom e names. Who is not there is a violation, which tells
// no more than that.
func named(ctx context.Context, tx *ent.Client, check *fault.Check, e Edit) ([]*ent.User, error) {
	if len(e.UserIDs)+len(e.Usernames) == 0 {
		return nil, nil
	}
	keys := make([]string, len(e.Usernames))
	for i, name := range e.Usernames {
		keys[i] = strings.ToLower(strings.TrimSpace(name))
	}
	people, err := tx.User.Query().Where(user.Or(user.IDIn(e.UserIDs...), user.UsernameKeyIn(keys...))).All(auth.AsSystem(ctx))
	if err != nil {
		return nil, err
	}
	for i, id := range e.UserIDs {
		there := slices.ContainsFunc(people, func(u *ent.User) bool { return u.ID == id })
		check.That(there, fmt.Sprintf("sharedWithIds.%d", i), "exists", "There is no user %s.", id)
	}
	for i, key := range keys {
		there := slices.ContainsFunc(people, func(u *ent.User) bool { return u.UsernameKey == key })
		check.That(there, fmt.Sprintf("sharedWithUsernames.%d", i), "exists", "There is no user named %s.", e.Usernames[i])
	}
	return people, nil
}

// share makes people those who see the image besides its owner. said is what changed.
func share(ctx context.Context, tx *ent.Client, row *ent.Image, people []*ent.User) (said []string, err error) {
	ctx = auth.AsSystem(ctx) // the viewer may: it is their image; and rows about others are nobody's to write
	before, err := tx.ImageShare.Query().Where(imageshare.ImageID(row.ID)).WithUser().All(ctx)
	if err != nil {
		return nil, err
	}
	touched := make([]string, 0, len(before)+len(people)) // who saw it or does
	for _, old := range before {
		touched = append(touched, old.UserID)
		if slices.ContainsFunc(people, func(u *ent.User) bool { return u.ID == old.UserID }) {
			continue
		}
		if err := tx.ImageShare.DeleteOne(old).Exec(ctx); err != nil {
			return nil, err
		}
		said = append(said, "no longer shared with "+old.Edges.User.Username)
	}
	for _, u := range people {
		if slices.Contains(touched, u.ID) || row.OwnerID != nil && u.ID == *row.OwnerID {
			continue
		}
		if err := tx.ImageShare.Create().SetImageID(row.ID).SetUserID(u.ID).Exec(ctx); err != nil {
			return nil, err
		}
		touched = append(touched, u.ID)
		said = append(said, "shared with "+u.Username)
	}
	return said, nil
}

// SharedWith are the people whom the image is shown to besides, for its owner and
// for administrators; nobody for others. Of each it is told what a name tag says.
func (s *Service) SharedWith(ctx context.Context, row *ent.Image) ([]*ent.User, error) {
	v := auth.Of(ctx)
	if !v.SeesAll() && (row.OwnerID == nil || *row.OwnerID != v.UserID) {
		return []*ent.User{}, nil
	}
	return s.Client.User.Query().Where(user.HasImageSharesWith(imageshare.ImageID(row.ID))).
		Order(ent.Asc(user.FieldUsernameKey)).
		Select(user.FieldID, user.FieldUsername, user.FieldNickname, user.FieldAvatar, user.FieldRole, user.FieldCreatedAt).
		All(auth.AsSystem(ctx))
}
