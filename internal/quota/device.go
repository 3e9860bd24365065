package quota

import (
	"context"
	"fmt"
	"strings"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/device"
	"github.com/mlride/mlride/ent/host"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// Device is a GPU as it was found: the runtime's own id, and what it is.
type Device struct{ ID, Name string }

// SetDevices notes which GPUs the machine has. One that is gone is kept while
// somebody holds it, and given to nobody.
func (s *Service) SetDevices(ctx context.Context, found []Device) error {
	ctx = auth.AsSystem(ctx)
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		if err := tx.Device.Update().SetPresent(false).Exec(ctx); err != nil {
			return err
		}
		for _, d := range found {
			err := tx.Device.Create().SetDevice(d.ID).SetName(d.Name).SetPresent(true).
				OnConflictColumns(device.FieldDevice).
				Update(func(u *ent.DeviceUpsert) { u.UpdateName().UpdatePresent() }).Exec(ctx)
			if err != nil {
				return fmt.Errorf("note the device %s: %w", d.ID, err)
			}
		}
		if _, err := tx.Device.Delete().Where(device.Present(false), device.ContainerIDIsNil()).Exec(ctx); err != nil {
			return err
		}
		return tx.Host.Update().Where(host.Name(hostName)).SetGpu(len(found)).Exec(ctx)
	})
	if err == nil {
		s.roomChanged()
	}
	return err
}

// Devices are all GPUs, those that are gone and held too.
func (s *Service) Devices(ctx context.Context) ([]*ent.Device, error) {
	return s.Client.Device.Query().Order(device.ByDevice()).All(auth.AsSystem(ctx))
}

// DevicesFree says whether TakeDevices would succeed. More than the machine has
// are not its matter: the ledger refuses those for good.
func (s *Service) DevicesFree(ctx context.Context, tx *ent.Client, n int, madeWith []string) (bool, error) {
	if n == 0 || len(madeWith) == 0 {
		return true, nil
	}
	free, err := tx.Device.Query().Where(device.Present(true), device.ContainerIDIsNil(), device.DeviceIn(madeWith...)).Count(auth.AsSystem(ctx))
	return free >= n, err
}

// TakeDevices gives a container n GPUs, with tx, the client of the transaction
// that reserves for it: those that it was made with, where it was, since an
// engine binds a container to its GPUs for good.
func (s *Service) TakeDevices(ctx context.Context, tx *ent.Client, containerID string, n int, madeWith []string) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	ctx = auth.AsSystem(ctx)
	free := tx.Device.Query().Where(device.Present(true), device.ContainerIDIsNil()).Order(device.ByDevice(sql.OrderAsc()))
	if len(madeWith) > 0 {
		free.Where(device.DeviceIn(madeWith...))
	}
	rows, err := free.Limit(n).All(ctx)
	if err != nil {
		return nil, err
	}
	if len(rows) < n {
		return nil, devicesTaken(n, len(rows), madeWith)
	}
	ids := make([]string, n)
	for i, row := range rows {
		changed, err := tx.Device.Update().Where(device.ID(row.ID), device.ContainerIDIsNil()).SetContainerID(containerID).Save(ctx)
		if err != nil {
			return nil, fmt.Errorf("take the device %s: %w", row.Device, err)
		}
		if changed != 1 {
			return nil, devicesTaken(n, 0, madeWith)
		}
		ids[i] = row.Device
	}
	return ids, nil
}

func devicesTaken(asked, free int, madeWith []string) error {
	message := "The machine's GPUs are taken. Wait for room, or ask for fewer."
	if len(madeWith) > 0 {
		message = fmt.Sprintf("It was made with the GPU %s, which is taken or gone now. Wait for it, or make a new container.", strings.Join(madeWith, ", "))
	}
	return Problem{
		Code: fault.CapacityExceeded, Resource: gpu.name, Message: message,
		Limit: float64(free), Requested: float64(asked),
	}.Fault()
}

// ReleaseDevices gives back what a container holds.
func (s *Service) ReleaseDevices(ctx context.Context, tx *ent.Client, containerID string) error {
	return tx.Device.Update().Where(device.ContainerID(containerID)).ClearContainerID().Exec(auth.AsSystem(ctx))
}

// misheld says which container holds another number of GPUs than it reserves.
func misheld(containers []*ent.Container, held []*ent.Device) error {
	counts := map[string]int{}
	for _, d := range held {
		counts[*d.ContainerID]++
	}
	for _, c := range containers {
		booked := 0
		if c.Reserved {
			booked = c.GpuLimit
		}
		if counts[c.ID] != booked {
			return fmt.Errorf("quota: %s holds %d GPUs and reserves %d", c.ID, counts[c.ID], booked)
		}
		delete(counts, c.ID)
	}
	for id := range counts {
		return fmt.Errorf("quota: GPUs are held by %s, which is not there", id)
	}
	return nil
}
