package volume

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// Wanted is a volume that somebody wants in a container.
type Wanted struct {
	VolumeID, Path string
	ReadOnly       bool
}

// Home is where a workspace is mounted, as HOME.
const Home = "/workspace"

// The bounds of what may be mounted.
const (
	maxMounts = 16
	maxPath   = 255
)

// reserved are the image's programs and the kernel's files: hidden behind a
// volume, the container would not even begin, or trust what is in the volume.
var reserved = []string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys",
	"/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/sbin",
}

// whole are folders that may not be hidden as a whole, while there may be volumes in them.
var whole = []string{"/", "/run", "/usr", "/var"}

var volumeID = regexp.MustCompile(`^vol_[0-9A-Za-z]+$`)

// CheckMounts checks what can be checked of the input alone.
func CheckMounts(check *fault.Check, mounts []Wanted, workspace *string) {
	check.That(len(mounts) <= maxMounts, "volumes", "size", "A container has at most %d volumes.", maxMounts)
	mounts = mounts[:min(len(mounts), maxMounts)]
	ids, paths := map[string]bool{}, []string{}
	if workspace != nil {
		checkName(check, "workspace", *workspace)
		paths = append(paths, Home)
	}
	for i, m := range mounts {
		field := func(name string) string { return fmt.Sprintf("volumes.%d.%s", i, name) }
		check.That(volumeID.MatchString(m.VolumeID), field("volumeId"), "format", "A volume is named by its id, vol_…; folders of the machine cannot be had.")
		check.That(!ids[m.VolumeID], field("volumeId"), "unique", "A volume is in a container once.")
		ids[m.VolumeID] = true
		if reason := badPath(m.Path); reason != "" {
			check.That(false, field("path"), "format", "%s", reason)
			continue
		}
		for _, other := range paths {
			check.That(!within(m.Path, other) && !within(other, m.Path), field("path"), "unique", "Another volume is at %s.", other)
		}
		paths = append(paths, m.Path)
	}
}

// badPath says why nothing is mounted at p, empty when something may be.
func badPath(p string) string {
	switch {
	case p == "" || len(p) > maxPath || strings.ContainsRune(p, 0):
		return fmt.Sprintf("A path is 1 to %d bytes without NUL.", maxPath)
	case !path.IsAbs(p) || path.Clean(p) != p:
		return "A path begins with / and has no ., .., double or last /."
	}
	for _, folder := range whole {
		if p == folder {
			return fmt.Sprintf("%s is the system's own.", folder)
		}
	}
	for _, folder := range reserved {
		if within(p, folder) {
			return fmt.Sprintf("%s is the system's own.", folder)
		}
	}
	return ""
}

// within says whether p is the folder or lies in it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// choose says whether the viewer may mount all of them: their own as they like,
// a public one only to read. Everything else is not there, for administrators
// too, who would else write in somebody's files by a slip. home is the workspace,
// nil where it is to be made or none is wanted.
func choose(ctx context.Context, client *ent.Client, owner string, mounts []Wanted, workspace *string) (home *ent.Volume, err error) {
	var check fault.Check
	for i, m := range mounts {
		row, err := client.Volume.Query().Where(
			volume.ID(m.VolumeID), volume.DeletedAtIsNil(), volume.Purging(false),
			volume.Or(volume.OwnerID(owner), volume.VisibilityEQ(volume.VisibilityPublic)),
		).Only(ctx)
		if ent.IsNotFound(err) {
			return nil, fault.NoSuch("volume", m.VolumeID)
		}
		if err != nil {
			return nil, err
		}
		check.That(row.OwnerID == owner || m.ReadOnly, fmt.Sprintf("volumes.%d.readOnly", i), "readOnly",
			"The volume %s is public and not yours: it can be had only to read.", row.Name)
	}
	if workspace == nil {
		return nil, check.Err()
	}
	home, err = client.Volume.Query().Where(volume.OwnerID(owner), volume.NameKey(*workspace)).Only(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	for i, m := range mounts {
		check.That(home == nil || m.VolumeID != home.ID, fmt.Sprintf("volumes.%d.volumeId", i), "unique", "This volume is the workspace already.")
	}
	return home, check.Err()
}

// Check says whether the viewer may mount all of them, as Attach will.
func (s *Service) Check(ctx context.Context, mounts []Wanted, workspace *string) error {
	if len(mounts) == 0 && workspace == nil {
		return nil
	}
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	home, err := choose(ctx, s.Client, v.UserID, mounts, workspace)
	if err == nil && workspace != nil && home == nil {
		err = s.Quota.CheckVolume(ctx, v.UserID)
	}
	return err
}

// Attach puts the volumes into a new container, with tx, the client of the
// transaction that makes it, and makes the workspace where there is none yet.
func (s *Service) Attach(ctx context.Context, tx *ent.Client, containerID string, mounts []Wanted, workspace *string) error {
	if len(mounts) == 0 && workspace == nil {
		return nil
	}
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	home, err := choose(ctx, tx, v.UserID, mounts, workspace) // again: something may be in the trash since
	if err != nil {
		return err
	}
	if workspace != nil {
		if home == nil {
			if home, err = s.insert(ctx, tx, v.UserID, *workspace); err != nil {
				return err
			}
		}
		mounts = append([]Wanted{{VolumeID: home.ID, Path: Home}}, mounts...)
	}
	for _, m := range mounts {
		err := tx.Mount.Create().SetContainerID(containerID).SetVolumeID(m.VolumeID).SetPath(m.Path).SetReadOnly(m.ReadOnly).Exec(ctx)
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.VolumeID, err)
		}
		s.mayChange(m.VolumeID)
	}
	return nil
}
