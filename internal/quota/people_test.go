package quota_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/quota"
)

// TestPeople: who has containers, most reserved memory first, and how many of
// them run.
func TestPeople(t *testing.T) {
	h := open(t)
	require.NoError(t, h.SetMachine(system, 8000, 16*record.GiB))
	h.person(t, "nobody")
	little, much := h.person(t, "little"), h.person(t, "much")
	for owner, memory := range map[string]record.Bytes{little: record.GiB, much: 2 * record.GiB} {
		need := quota.Need{Containers: 1, Amounts: quota.Amounts{CPU: 1000, Memory: memory}}
		require.NoError(t, h.Reserve(system, h.client, owner, need))
	}
	h.client.Container.Create().SetName("c").SetOwnerID(much).SetImageID(h.image).SetCPULimit(1000).SetMemoryLimit(2 * record.GiB).
		SetDesired(container.DesiredRunning).SetStatus(container.StatusRunning).SaveX(system)
	quotas, running, err := h.People(system)
	require.NoError(t, err)
	require.Len(t, quotas, 2)
	require.Equal(t, "much", quotas[0].Edges.User.Username)
	require.Equal(t, "little", quotas[1].Edges.User.Username)
	require.Equal(t, map[string]int{much: 1}, running)
}
