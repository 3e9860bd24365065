package quota_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/fault"
)

// TestDiskIsTheSum: images, volumes and written layers together are held to the quota.
func TestDiskIsTheSum(t *testing.T) {
	h := open(t)
	ann, ben := h.person(t, "ann"), h.person(t, "ben")
	h.client.Image.Create().SetReference("a").SetRequestedReference("a").SetMinMemory(1).SetOwnerID(ann).SetSize(500 * record.MiB).SaveX(system)
	h.client.Image.Create().SetReference("b").SetRequestedReference("b").SetMinMemory(1).SetOwnerID(ben).SetSize(900 * record.MiB).SaveX(system)
	h.client.Volume.Create().SetName("data").SetOwnerID(ann).SetSize(300 * record.MiB).SaveX(system)
	box := h.client.Container.Create().SetName("box").SetOwnerID(ann).SetImageID(h.image).SetDesired(container.DesiredStopped).
		SetCPULimit(100).SetMemoryLimit(1).SetDiskUsed(200 * record.MiB).SaveX(system)
	usage, err := h.Usage(system, ann)
	require.NoError(t, err)
	require.Equal(t, 1000*record.MiB, usage.Disk)
	require.NoError(t, h.CheckDisk(system, ann))

	box.Update().SetDiskUsed(224 * record.MiB).ExecX(system)
	err = h.CheckDisk(system, ann)
	require.Equal(t, fault.QuotaExceeded, fault.CodeOf(err))
	require.Equal(t, map[string]any{"resource": "disk", "limit": float64(record.GiB), "used": float64(record.GiB), "requested": 0.0}, fault.Of(err).Details)
	require.NoError(t, h.CheckDisk(system, ben))
}
