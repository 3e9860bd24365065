package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
)

var morning = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func waiter(id, owner string, minute int) Waiter {
	return Waiter{ID: id, Owner: owner, Since: morning.Add(time.Duration(minute) * time.Minute)}
}

func order(line []Waiter) string {
	text := ""
	for _, w := range line {
		text += w.ID + " "
	}
	return text
}

func TestLineIsFewestRunningFirstThenAge(t *testing.T) {
	waiting := []Waiter{waiter("a1", "ann", 1), waiter("a2", "ann", 2), waiter("a3", "ann", 3), waiter("b1", "ben", 4), waiter("c1", "cat", 5)}
	require.Equal(t, "a1 b1 c1 a2 a3 ", order(Line(waiting, nil)), "each owner's first before anybody's second")
	require.Equal(t, "b1 c1 a1 a2 a3 ", order(Line(waiting, map[string]int{"ann": 1})))
	require.Equal(t, "c1 a1 a2 a3 b1 ", order(Line(waiting, map[string]int{"ann": 1, "ben": 9})))
	waiting[3].Stuck = true
	require.Equal(t, "a1 c1 a2 a3 b1 ", order(Line(waiting, nil)), "whose own quota stands in the way comes last")
}

// TestLineKeepsEverybody: whatever waits is in the line once, and nobody comes
// before another of the same owner that is older.
func TestLineKeepsEverybody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		waiting := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Waiter {
			return Waiter{
				ID: fmt.Sprint(rapid.Int().Draw(rt, "id")), Owner: rapid.SampledFrom([]string{"ann", "ben", "cat"}).Draw(rt, "owner"),
				Since: morning.Add(time.Duration(rapid.IntRange(0, 50).Draw(rt, "minute")) * time.Minute),
			}
		}), 0, 20).Draw(rt, "waiting")
		line := Line(waiting, map[string]int{"ann": rapid.IntRange(0, 5).Draw(rt, "running")})
		require.ElementsMatch(rt, waiting, line)
		last := map[string]time.Time{}
		for _, w := range line {
			require.False(rt, w.Since.Before(last[w.Owner]))
			last[w.Owner] = w.Since
		}
	})
}

func books(cpu, memory int64, gpus int) Books {
	return Books{
		Quota:    &ent.Quota{MaxContainers: 10, MaxCPU: 4000, MaxMemory: 8 * record.GiB, MaxGpu: 4, UsedCPU: record.Cores(cpu), UsedMemory: record.Bytes(memory), UsedGpu: gpus},
		Host:     &ent.Host{CPU: 8000, Memory: 16 * record.GiB, Gpu: 4, UsedCPU: record.Cores(cpu), UsedMemory: record.Bytes(memory), UsedGpu: gpus},
		Capacity: Capacity{Known: true, Together: Amounts{8000, 16 * record.GiB, 4}, Alone: Amounts{8000, 16 * record.GiB, 4}},
	}
}

func TestFreeingNamesTheSmallestThatDoes(t *testing.T) {
	b := books(4000, int64(4*record.GiB), 1)
	own := []Owned{
		{"small", Amounts{CPU: 500, Memory: record.GiB}},
		{"middle", Amounts{CPU: 1500, Memory: record.GiB}},
		{"large", Amounts{CPU: 1500, Memory: 2 * record.GiB, GPU: 1}},
		{"tiny", Amounts{CPU: 500}},
	}
	ids := func(freed []Owned) []string {
		list := []string{}
		for _, one := range freed {
			list = append(list, one.ID)
		}
		return list
	}
	need := func(cpu int) Need { return Need{Amounts: Amounts{CPU: record.Cores(cpu), Memory: 1}} }
	require.Equal(t, []string{"tiny"}, ids(b.Freeing(need(400), own)))
	require.Equal(t, []string{"middle"}, ids(b.Freeing(need(1000), own)))
	require.Equal(t, []string{"large", "middle"}, ids(b.Freeing(need(3000), own)))
	require.Len(t, b.Freeing(need(4000), own), 4)
	require.Empty(t, b.Freeing(need(5000), own), "more than the quota will ever hold")
	b.Quota.UsedContainers = 10
	require.Empty(t, b.Freeing(Need{Containers: 1}, own), "stopping makes no place")
}

// TestFreeingFreesEnoughAndNoMore: over random books, what is named lets the need
// in, and nothing of it could be left out.
func TestFreeingFreesEnoughAndNoMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		own := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Owned {
			return Owned{fmt.Sprint(rapid.Int().Draw(rt, "id")), Amounts{
				CPU: record.Cores(rapid.IntRange(10, 2000).Draw(rt, "cpu")), Memory: record.Bytes(rapid.Int64Range(1, int64(4*record.GiB)).Draw(rt, "memory")), GPU: rapid.IntRange(0, 2).Draw(rt, "gpu"),
			}}
		}), 0, 6).Draw(rt, "own")
		var sum Amounts
		for _, one := range own {
			sum = sum.plus(one.Amounts)
		}
		b := books(int64(sum.CPU), int64(sum.Memory), sum.GPU)
		need := Need{Amounts: Amounts{CPU: record.Cores(rapid.IntRange(10, 5000).Draw(rt, "asked cpu")), Memory: record.Bytes(rapid.Int64Range(1, int64(9*record.GiB)).Draw(rt, "asked memory"))}}
		freed := b.Freeing(need, own)
		all := b
		for _, one := range own {
			all = all.without(one.Amounts)
		}
		helps := len(b.Problems(need)) > 0 && len(all.Problems(need)) == 0
		require.Equal(rt, helps, len(freed) > 0)
		left := b
		for _, one := range freed {
			left = left.without(one.Amounts)
		}
		if helps {
			require.Empty(rt, left.Problems(need))
			require.Equal(rt, freed, spare(b, need, freed))
		}
	})
}

func TestRoomIsKeptForThoseWhoWait(t *testing.T) {
	b := books(1000, 0, 0)
	b.Capacity.Together.CPU = 3000
	need := Need{Amounts: Amounts{CPU: 1000}}
	require.Empty(t, b.Problems(need))
	b.Held = Amounts{CPU: 1500}
	require.True(t, Waits(b.Problems(need)))
	require.Equal(t, record.Cores(500), b.Largest().CPU)
	require.Empty(t, b.Problems(Need{Amounts: Amounts{Memory: record.GiB}}), "what is not held is free")
	require.False(t, Waits(b.Problems(Need{Amounts: Amounts{CPU: 9000}})), "what no machine this size holds does not wait")
}
