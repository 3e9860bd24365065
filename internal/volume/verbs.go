package volume

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const nameRule = "A name is 1 to 63 of a–z, 0–9 and -, and neither begins nor ends with -."

func checkName(check *fault.Check, field, name string) {
	check.That(dnsLabel.MatchString(name), field, "format", nameRule)
}

// Create makes an empty volume of the viewer's. The engine hears of it with the
// first container that has it.
func (s *Service) Create(ctx context.Context, name string) (*ent.Volume, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	checkName(&check, "name", name)
	if err := check.Err(); err != nil {
		return nil, err
	}
	var row *ent.Volume
	err = s.tx(ctx, "create", func(tx *ent.Client) error {
		if err := free(ctx, tx, v.UserID, name); err != nil {
			return err
		}
		row, err = s.insert(ctx, tx, v.UserID, name)
		return err
	})
	return s.told(row, name, err)
}

// insert makes a volume, with its place in the quota.
func (s *Service) insert(ctx context.Context, tx *ent.Client, owner, name string) (*ent.Volume, error) {
	if err := s.Quota.ReserveVolume(ctx, tx, owner); err != nil {
		return nil, err
	}
	row, err := tx.Volume.Create().SetOwnerID(owner).SetName(name).SetNameKey(name).Save(ctx)
	if err != nil {
		return nil, err
	}
	return row, audited(ctx, tx, row, "create", "")
}

func audited(ctx context.Context, tx *ent.Client, row *ent.Volume, verb, detail string) error {
	return audit.Record(ctx, tx, audit.Entry{Action: "volume." + verb, Target: row.ID, TargetName: row.Name, Detail: detail})
}

// free is CONFLICT when the owner has a volume of that name, the trash aside.
func free(ctx context.Context, tx *ent.Client, owner, name string) error {
	taken, err := tx.Volume.Query().Where(volume.OwnerID(owner), volume.NameKey(name)).Exist(ctx)
	if err == nil && taken {
		err = nameTaken(name)
	}
	return err
}

func nameTaken(name string) *fault.Fault {
	return fault.New(fault.Conflict, "There is already a volume named %s. Choose another name, or rename that one.", name).With("field", "name")
}

// told ends a verb: the row as it is after the commit, and a word to the owner.
func (s *Service) told(row *ent.Volume, name string, err error) (*ent.Volume, error) {
	if ent.IsConstraintError(err) {
		return nil, nameTaken(name).Because(err)
	}
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row.OwnerID)
	return row, nil
}

// change is what the verbs on a volume have in common. do changes up, and says
// whether there is anything to change.
func (s *Service) change(ctx context.Context, id, verb string, do func(tx *ent.Client, row *ent.Volume, up *ent.VolumeUpdateOne) (detail string, changed bool, err error)) (*ent.Volume, error) {
	var row *ent.Volume
	name := ""
	err := s.tx(ctx, verb, func(tx *ent.Client) error {
		var err error
		if row, err = own(ctx, tx, id); err != nil {
			return err
		}
		up := row.Update()
		detail, changed, err := do(tx, row, up)
		if err != nil || !changed {
			return err
		}
		if row, err = up.Save(ctx); err != nil {
			return err
		}
		name = row.Name
		return audited(ctx, tx, row, verb, detail)
	})
	return s.told(row, name, err)
}

// own is a volume that the viewer may change. One that is seen and not one's own
// is FORBIDDEN: its being there is no secret.
func own(ctx context.Context, tx *ent.Client, id string) (*ent.Volume, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	row, err := tx.Volume.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("volume", id)
	}
	if err == nil && !v.SeesAll() && row.OwnerID != v.UserID {
		err = fault.New(fault.Forbidden, "This volume is not yours to change.")
	}
	return row, err
}

// unlessPurging refuses what can no more be done with a volume that is on its way out.
func unlessPurging(row *ent.Volume) error {
	if row.Purging {
		return fault.New(fault.InvalidState, "This volume is being removed for good.").With("status", "PURGING").With("allowed", []string{})
	}
	return nil
}

// Edit is what of a volume is to change; nil stays.
type Edit struct {
	Name   *string
	Public *bool
}

// Update changes a volume. To publish is for administrators; containers that have
// a volume keep it when it is public no more.
func (s *Service) Update(ctx context.Context, id string, e Edit) (*ent.Volume, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	if e.Name != nil {
		checkName(&check, "name", *e.Name)
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	if e.Public != nil && *e.Public && !v.Admin {
		if _, err := s.Get(ctx, id); err != nil {
			return nil, err // also here, what is somebody else's is not there
		}
		return nil, fault.New(fault.Forbidden, "Only administrators make a volume public.")
	}
	return s.change(ctx, id, "update", func(tx *ent.Client, row *ent.Volume, up *ent.VolumeUpdateOne) (string, bool, error) {
		if err := unlessPurging(row); err != nil {
			return "", false, err
		}
		var details []string
		if e.Name != nil && *e.Name != row.Name {
			if row.DeletedAt == nil { // in the trash names may repeat
				if err := free(ctx, tx, row.OwnerID, *e.Name); err != nil {
					return "", false, err
				}
				up.SetNameKey(*e.Name)
			}
			up.SetName(*e.Name)
			details = append(details, fmt.Sprintf("name %s → %s", row.Name, *e.Name))
		}
		visibility := row.Visibility
		if e.Public != nil {
			visibility = volume.VisibilityPrivate
			if *e.Public {
				visibility = volume.VisibilityPublic
			}
		}
		if visibility != row.Visibility {
			up.SetVisibility(visibility)
			details = append(details, fmt.Sprintf("visibility %s → %s", row.Visibility, visibility))
		}
		return strings.Join(details, "; "), len(details) > 0, nil
	})
}

// Delete puts a volume into the trash. It is refused while a container has it
// (VOLUME_IN_USE): one transaction looks for containers and marks the volume, and
// the one that makes a container looks at the mark.
func (s *Service) Delete(ctx context.Context, id string) (*ent.Volume, error) {
	return s.change(ctx, id, "delete", func(tx *ent.Client, row *ent.Volume, up *ent.VolumeUpdateOne) (string, bool, error) {
		if row.DeletedAt != nil {
			return "", false, nil
		}
		up.SetDeletedAt(s.Now().UTC()).ClearNameKey()
		return "", true, refuseInUse(ctx, tx, row)
	})
}

func refuseInUse(ctx context.Context, tx *ent.Client, row *ent.Volume) error {
	total, err := mountedBy(tx, row.ID).Count(auth.AsSystem(ctx))
	if err != nil || total == 0 {
		return err
	}
	seen, err := mountedBy(tx, row.ID).Order(ent.Asc(container.FieldCreatedAt)).All(ctx)
	if err != nil {
		return err
	}
	named := make([]fault.Named, len(seen))
	for i, c := range seen {
		named[i] = fault.Named{ID: c.ID, Name: c.Name}
	}
	return fault.InUse(fault.VolumeInUse, "Containers have this volume: %s. Remove them first.", named, total-len(seen))
}

// Restore takes a volume out of the trash. CONFLICT when its name was taken
// meanwhile: it can be renamed in the trash.
func (s *Service) Restore(ctx context.Context, id string) (*ent.Volume, error) {
	return s.change(ctx, id, "restore", func(tx *ent.Client, row *ent.Volume, up *ent.VolumeUpdateOne) (string, bool, error) {
		if row.DeletedAt == nil {
			return "", false, nil
		}
		if err := unlessPurging(row); err != nil {
			return "", false, err
		}
		up.ClearDeletedAt().SetNameKey(row.Name)
		return "", true, free(ctx, tx, row.OwnerID, row.Name)
	})
}

// purgePatience is how long a Purge waits for the engine to delete the files.
const purgePatience = 10 * time.Second

// Purge removes a volume in the trash for good. From its return on nothing brings
// it back; where the engine is away or takes long, Run goes on with it.
func (s *Service) Purge(ctx context.Context, id string) error {
	_, err := s.change(ctx, id, "purge", func(_ *ent.Client, row *ent.Volume, up *ent.VolumeUpdateOne) (string, bool, error) {
		if row.DeletedAt == nil {
			return "", false, fault.New(fault.InvalidState, "This volume is not in the trash. Delete it first.").
				With("status", "PRESENT").With("allowed", []string{"DELETED"})
		}
		up.SetPurging(true)
		return "", !row.Purging, nil
	})
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(auth.AsSystem(ctx), purgePatience)
	defer cancel()
	if err := s.remove(within, id); err != nil {
		s.Log.InfoContext(ctx, "a volume is removed later", "volume", id, "error", err)
	}
	return nil
}
