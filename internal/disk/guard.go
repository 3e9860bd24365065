package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
)

// guard looks how fast each writes, and freezes the fastest.
func (s *Service) guard(ctx context.Context, rows []*ent.Container, free record.Bytes) error {
	var writers []Writer
	var wrong []error // one that cannot be measured must not keep the others from it
	owners := map[string]string{}
	grown, err := s.grown(ctx, rows)
	wrong = append(wrong, err)
	for _, row := range rows {
		if row.Status != container.StatusRunning || row.Desired != container.DesiredRunning {
			continue
		}
		t := s.of(row)
		size, known, err := s.ask(ctx, row.ID, s.Engine.LayerSize)
		wrong = append(wrong, err)
		if errors.Is(err, engine.ErrUnreachable) {
			break
		}
		if !known {
			continue
		}
		now := s.Now()
		before := t.last
		if before.At.IsZero() {
			before = t.reading // from before there was little room
		}
		read := Reading{now, s.written(row.ID), size}
		t.last, t.reading, t.measured = read, read, now
		wrong = append(wrong, s.Lifecycle.DiskUsed(ctx, row.ID, size))
		if before.At.IsZero() {
			continue // what it writes will be known at the next look
		}
		w := Writer{ID: row.ID, Rate: Rate(before, read)}
		for _, m := range row.Edges.Mounts {
			if !m.ReadOnly {
				w.Rate = max(w.Rate, grown[m.VolumeID])
			}
		}
		writers, owners[row.ID] = append(writers, w), row.OwnerID
	}
	w, found := Fastest(writers)
	if !found || s.Now().Sub(s.froze) < apart {
		return errors.Join(wrong...)
	}
	s.froze = s.Now()
	s.Log.WarnContext(ctx, "freezing who writes fastest", "container", w.ID, "owner", owners[w.ID], "bytesPerSecond", int64(w.Rate), "free", free.String())
	message := fmt.Sprintf("Frozen, since the machine's disk is nearly full (%s free, %s are kept) and it wrote fastest, %s a second. "+
		"Everything in it is kept. Delete images, volumes or containers that you do not need, then unpause it.", free, s.Reserve, record.Bytes(w.Rate))
	return errors.Join(append(wrong, s.Lifecycle.Freeze(ctx, w.ID, container.FrozenDisk, message, time.Time{}))...)
}

// grown is how many bytes a second each volume grew by that a running container
// may write.
func (s *Service) grown(ctx context.Context, rows []*ent.Container) (map[string]float64, error) {
	rates := map[string]float64{}
	var wrong []error
	for _, row := range rows {
		for _, m := range row.Edges.Mounts {
			if _, done := rates[m.VolumeID]; done || m.ReadOnly || row.Status != container.StatusRunning {
				continue
			}
			rates[m.VolumeID] = 0
			size, known, err := s.ask(ctx, m.VolumeID, s.Engine.VolumeSize)
			wrong = append(wrong, err)
			if !known {
				continue
			}
			now := Reading{At: s.Now(), Size: size}
			if before, seen := s.volumes[m.VolumeID]; seen {
				rates[m.VolumeID] = Rate(before, now)
			}
			s.volumes[m.VolumeID] = now
		}
	}
	return rates, errors.Join(wrong...)
}
