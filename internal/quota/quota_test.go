package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	entquota "github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

var system = auth.AsSystem(context.Background())

type house struct {
	*quota.Service
	client *ent.Client
	image  string
}

func open(t *testing.T) *house {
	t.Helper()
	s, err := store.Open(system, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	q, err := quota.New(system, quota.Options{
		Client: s.Client, Feed: &live.Feed{}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Default: quota.Limits{Containers: 3, CPU: 2000, Memory: 4 * record.GiB, GPU: 2, Images: 2, Disk: record.GiB},
		Policy:  quota.Policy{ReserveCPU: 500, ReserveMemory: record.GiB, OvercommitCPU: 1, OvercommitMemory: 1},
	})
	require.NoError(t, err)
	img := s.Client.Image.Create().SetReference("r").SetRequestedReference("r").SetMinMemory(1).SaveX(system)
	return &house{q, s.Client, img.ID}
}

func (h *house) person(t require.TestingT, name string) string {
	u := h.client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SaveX(system)
	require.NoError(t, h.Give(system, h.client, u.ID))
	return u.ID
}

// TestLedgerIsTheSum: after any sequence of making, waiting, starting, ending,
// resuming and removing by two people, and of new limits, the ledger says what
// exists; and the dry run and the real call agree each time.
func TestLedgerIsTheSum(t *testing.T) {
	h := open(t)
	require.NoError(t, h.SetMachine(system, 4000, 8*record.GiB))
	require.NoError(t, h.SetDevices(system, []quota.Device{{ID: "0", Name: "a"}, {ID: "1", Name: "b"}, {ID: "2", Name: "c"}}))
	admin := auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		h.sequence(rt, admin, round)
	})
}

func (h *house) sequence(rt *rapid.T, admin context.Context, round int) {
	people := []string{h.person(rt, fmt.Sprintf("ann%d", round)), h.person(rt, fmt.Sprintf("ben%d", round))}
	var rows []*ent.Container
	pick := func() *ent.Container {
		if len(rows) == 0 {
			return nil
		}
		return rows[rapid.IntRange(0, len(rows)-1).Draw(rt, "which")]
	}
	reserve := func(owner string, n quota.Need, then func(tx *ent.Client) error) bool {
		problems, _, err := h.Admit(system, h.client, owner, n)
		require.NoError(rt, err)
		err = store.Tx(system, h.client, func(tx *ent.Client) error {
			if err := h.Reserve(system, tx, owner, n); err != nil {
				return err
			}
			return then(tx)
		})
		require.Equal(rt, len(problems) == 0, err == nil, "the dry run says %+v, the call %v", problems, err)
		if err != nil {
			require.Equal(rt, problems[0].Code, fault.CodeOf(err))
		}
		return err == nil
	}
	rt.Repeat(map[string]func(*rapid.T){
		"make": func(rt *rapid.T) {
			owner := rapid.SampledFrom(people).Draw(rt, "owner")
			a := quota.Amounts{
				CPU: record.Cores(rapid.IntRange(10, 1500).Draw(rt, "cpu")), Memory: record.Bytes(rapid.Int64Range(1, int64(3*record.GiB)).Draw(rt, "memory")),
				GPU: max(0, rapid.IntRange(-4, 2).Draw(rt, "gpu")),
			}
			reserve(owner, quota.Need{Containers: 1, Amounts: a}, func(tx *ent.Client) error {
				row, err := tx.Container.Create().SetName(fmt.Sprint(round, len(rows), time.Now().UnixNano())).SetOwnerID(owner).SetImageID(h.image).
					SetDesired(container.DesiredRunning).SetCPULimit(a.CPU).SetMemoryLimit(a.Memory).SetGpuLimit(a.GPU).SetReserved(true).Save(system)
				if err != nil {
					return err
				}
				rows = append(rows, row)
				_, err = h.TakeDevices(system, tx, row.ID, a.GPU, nil)
				return err
			})
		},
		"end": func(rt *rapid.T) {
			if row := pick(); row != nil && row.Reserved {
				require.NoError(rt, store.Tx(system, h.client, func(tx *ent.Client) error {
					row.Reserved = false
					if err := tx.Container.UpdateOneID(row.ID).SetReserved(false).Exec(system); err != nil {
						return err
					}
					if err := h.ReleaseDevices(system, tx, row.ID); err != nil {
						return err
					}
					return h.Release(system, tx, row.OwnerID, quota.Need{Amounts: quota.Of(row)})
				}))
			}
		},
		"wait": func(rt *rapid.T) {
			if row := pick(); row != nil && !row.Reserved && !row.Queued {
				row.Queued = true
				require.NoError(rt, h.client.Container.UpdateOneID(row.ID).SetQueued(true).SetQueuedAt(time.Now().UTC()).Exec(system))
			}
		},
		"let in": func(rt *rapid.T) {
			waiting, err := h.Waiting(system, h.client)
			require.NoError(rt, err)
			running, err := h.Running(system, h.client)
			require.NoError(rt, err)
			var ahead quota.Amounts
			for _, w := range quota.Line(waiting, running) {
				require.NoError(rt, store.Tx(system, h.client, func(tx *ent.Client) error {
					problems, err := h.ReserveInTurn(system, tx, w, ahead)
					if err != nil || len(problems) > 0 {
						return err
					}
					if _, err := h.TakeDevices(system, tx, w.ID, w.GPU, nil); err != nil {
						return err
					}
					for _, row := range rows {
						if row.ID == w.ID {
							row.Queued, row.Reserved = false, true
						}
					}
					return tx.Container.UpdateOneID(w.ID).SetQueued(false).SetReserved(true).Exec(system)
				}))
				ahead = ahead.Plus(w.Amounts)
			}
		},
		"start": func(rt *rapid.T) {
			if row := pick(); row != nil && !row.Reserved && !row.Queued {
				row.Reserved = reserve(row.OwnerID, quota.Need{Amounts: quota.Of(row)}, func(tx *ent.Client) error {
					if _, err := h.TakeDevices(system, tx, row.ID, row.GpuLimit, nil); err != nil {
						return err
					}
					return tx.Container.UpdateOneID(row.ID).SetReserved(true).Exec(system)
				})
			}
		},
		"resume": func(rt *rapid.T) { // not refused, whatever the limits
			if row := pick(); row != nil && !row.Reserved && !row.Queued && row.GpuLimit == 0 {
				row.Reserved = true
				require.NoError(rt, store.Tx(system, h.client, func(tx *ent.Client) error {
					if err := tx.Container.UpdateOneID(row.ID).SetReserved(true).Exec(system); err != nil {
						return err
					}
					return h.Retake(system, tx, row.OwnerID, quota.Of(row))
				}))
			}
		},
		"set limits": func(rt *rapid.T) {
			cpu := float64(rapid.IntRange(0, 3000).Draw(rt, "cpu")) / 1000
			_, err := h.Set(admin, rapid.SampledFrom(people).Draw(rt, "owner"), quota.Change{MaxCPU: &cpu})
			require.NoError(rt, err)
		},
		"": func(rt *rapid.T) { require.NoError(rt, h.Audit(system)) },
	})
	require.NoError(rt, store.Tx(system, h.client, func(tx *ent.Client) error {
		for _, row := range rows {
			n := quota.Need{Containers: 1}
			if row.Reserved {
				n.Amounts = quota.Of(row)
			}
			if err := h.Release(system, tx, row.OwnerID, n); err != nil {
				return err
			}
			if err := h.ReleaseDevices(system, tx, row.ID); err != nil {
				return err
			}
			if err := tx.Container.DeleteOneID(row.ID).Exec(system); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(rt, h.Audit(system))
}

func TestGivingBackMoreThanIsTakenFails(t *testing.T) {
	h := open(t)
	ann := h.person(t, "ann")
	require.Error(t, h.Release(system, h.client, ann, quota.Need{Containers: 1}))
	require.Error(t, h.ReleaseImage(system, h.client, ann))
	require.Error(t, h.ReleaseVolume(system, h.client, ann))
	require.NoError(t, h.Audit(system))
}

func TestUnknownMachineAdmitsNothing(t *testing.T) {
	h := open(t)
	ann := h.person(t, "ann")
	err := h.Reserve(system, h.client, ann, quota.Need{Containers: 1, Amounts: quota.Amounts{CPU: 10, Memory: 1}})
	require.Equal(t, fault.EngineUnavailable, fault.CodeOf(err))
	require.NoError(t, h.Reserve(system, h.client, ann, quota.Need{Containers: 1}), "what is not started needs no machine")
}

func TestImagesAreCounted(t *testing.T) {
	h := open(t)
	ann := h.person(t, "ann")
	require.NoError(t, h.ReserveImage(system, h.client, ann))
	require.NoError(t, h.ReserveImage(system, h.client, ann))
	err := h.ReserveImage(system, h.client, ann)
	require.Equal(t, fault.QuotaExceeded, fault.CodeOf(err))
	require.Equal(t, "images", fault.Of(err).Details["resource"])
}

func TestVolumesAreCounted(t *testing.T) {
	h := open(t)
	ann := h.person(t, "ann")
	one := 1
	_, err := h.Set(auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true}), ann, quota.Change{MaxVolumes: &one})
	require.NoError(t, err)
	require.NoError(t, h.CheckVolume(system, ann))
	require.NoError(t, h.ReserveVolume(system, h.client, ann))
	require.ErrorContains(t, h.Audit(system), "the ledger of "+ann)
	for _, err := range []error{h.ReserveVolume(system, h.client, ann), h.CheckVolume(system, ann)} {
		require.Equal(t, fault.QuotaExceeded, fault.CodeOf(err))
		require.Equal(t, "volumes", fault.Of(err).Details["resource"])
	}
	h.client.Volume.Create().SetOwnerID(ann).SetName("v").SetNameKey("v").ExecX(system)
	require.NoError(t, h.Audit(system))
}

func TestNoGPUSaysSo(t *testing.T) {
	h := open(t)
	require.NoError(t, h.SetMachine(system, 4000, 8*record.GiB))
	ann := h.person(t, "ann")
	one := 1
	_, err := h.Set(auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true}), ann, quota.Change{MaxGPU: &one})
	require.NoError(t, err)
	err = h.Reserve(system, h.client, ann, quota.Need{Containers: 1, Amounts: quota.Amounts{GPU: 1}})
	require.Equal(t, fault.CapacityExceeded, fault.CodeOf(err))
	require.Contains(t, fault.Of(err).Message, "no GPU")
}

// TestTenThousandStates: whatever the books say and whoever waits, what the dry
// run says and what the real call does agree.
func TestTenThousandStates(t *testing.T) {
	const states, needs = 2_500, 4
	h := open(t)
	require.NoError(t, h.SetMachine(system, 8000, 16*record.GiB))
	require.NoError(t, h.SetDevices(system, []quota.Device{{ID: "0"}, {ID: "1"}, {ID: "2"}, {ID: "3"}}))
	ann, ben := h.person(t, "ann"), h.person(t, "ben")
	waits := h.client.Container.Create().SetName("waits").SetOwnerID(ben).SetImageID(h.image).SetDesired(container.DesiredRunning).
		SetCPULimit(1).SetMemoryLimit(1).SetQueuedAt(time.Now().UTC()).SaveX(system)
	random := rand.New(rand.NewPCG(20261127, 4))
	upTo := func(n int) int { return random.IntN(n + 1) }
	cores := func(n int) record.Cores { return record.Cores(upTo(n)) }
	memory := func(n record.Bytes) record.Bytes { return record.Bytes(random.Int64N(int64(n) + 1)) }
	rollBack := errors.New("roll back")
	admitted := 0
	for range states {
		h.client.Quota.Update().Where(entquota.UserID(ann)).
			SetMaxContainers(upTo(4)).SetUsedContainers(upTo(4)).SetMaxCPU(cores(8000)).SetUsedCPU(cores(4000)).
			SetMaxMemory(memory(16 * record.GiB)).SetUsedMemory(memory(8 * record.GiB)).SetMaxGpu(upTo(4)).SetUsedGpu(upTo(2)).ExecX(system)
		h.client.Host.Update().SetUsedCPU(cores(7000)).SetUsedMemory(memory(14 * record.GiB)).SetUsedGpu(upTo(4)).ExecX(system)
		h.client.Container.UpdateOne(waits).SetQueued(upTo(1) == 1).SetCPULimit(cores(3000)).SetMemoryLimit(memory(4 * record.GiB)).ExecX(system)
		for range needs {
			need := quota.Need{Containers: upTo(1)}
			if upTo(3) > 0 {
				need.Amounts = quota.Amounts{CPU: cores(4000), Memory: memory(6 * record.GiB), GPU: max(0, upTo(4)-2)}
			}
			problems, largest, err := h.Admit(system, h.client, ann, need)
			require.NoError(t, err)
			err = store.Tx(system, h.client, func(tx *ent.Client) error {
				if err := h.Reserve(system, tx, ann, need); err != nil {
					return err
				}
				return rollBack
			})
			if len(problems) == 0 {
				admitted++
				require.ErrorIs(t, err, rollBack, "%+v was to be let in", need)
				if need.Containers > 0 {
					require.LessOrEqual(t, need.CPU, largest.CPU)
					require.LessOrEqual(t, need.Memory, largest.Memory)
					require.LessOrEqual(t, need.GPU, largest.GPU)
				}
			} else {
				require.Equal(t, problems[0].Code, fault.CodeOf(err), "%+v: %+v", need, problems)
			}
		}
	}
	require.Greater(t, admitted, states/4)
	require.Less(t, admitted, states*needs)
}
