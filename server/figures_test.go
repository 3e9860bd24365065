package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/user"
)

// TestFiguresOverTheAPI: where they come from, their history, and what people
// use of the machine, of an engine in memory whose containers are always busy.
func TestFiguresOverTheAPI(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	o := c.things(t)
	id := o.fill("<running>")
	token, _ := c.signIn(o.owner, time.Hour)
	ask := func(fields string) answerOf {
		return c.post(t, token, fmt.Sprintf(`{ node(id: %q) { ... on Container { %s } } }`, id, fields), nil)
	}
	require.Eventually(t, func() bool {
		return at[map[string]any](t, ask("stats { readAt } id"), "node")["stats"] != nil
	}, time.Minute, 50*time.Millisecond)
	a := ask("statsSource stats { cpuPercentMax gpus { device } } statsHistory(step: \"60s\") { cpuPercent cpuPercentMax memoryUsage memoryUsageMax gpus { device } }")
	require.Equal(t, "ENGINE", at[string](t, a, "node", "statsSource"))
	require.Nil(t, at[map[string]any](t, a, "node", "stats")["cpuPercentMax"], "only in a history")
	at[[]any](t, a, "node", "statsHistory") // what is in it: internal/monitor

	for _, arguments := range []string{`step: "0s"`, `step: "1ms"`, `since: "2000-01-01T00:00:00Z"`, `since: "2999-01-01T00:00:00Z"`} {
		a := ask("statsHistory(" + arguments + ") { readAt }")
		require.Len(t, a.Errors, 1, arguments)
		require.Contains(t, a.body, `"BAD_USER_INPUT"`, arguments)
	}
	stranger, _ := c.person(t, "stranger", user.RoleUser)
	theirs, _ := c.signIn(stranger, time.Hour)
	a = c.post(t, theirs, fmt.Sprintf(`{ node(id: %q) { ... on Container { statsHistory { readAt } } } }`, id), nil)
	require.NotContains(t, a.body, "readAt")

	admin := o.somebody(user.RoleAdmin, time.Hour, nil)
	a = c.post(t, admin.cookie, `{ system { usedCpu people { user { id } running reserved { cpu memory gpu } usedCpu usedMemory } } }`, nil)
	people := at[[]any](t, a, "system", "people")
	require.Len(t, people, 1, "who has no container is left out")
	one, ok := people[0].(map[string]any)
	require.True(t, ok)
	require.Equal(t, map[string]any{"id": o.owner.ID}, one["user"])
	require.EqualValues(t, 1, one["running"])
	require.Equal(t, map[string]any{"cpu": 0.05, "memory": float64(16 << 20), "gpu": 0.0}, one["reserved"])
	require.Positive(t, one["usedCpu"])
	require.Positive(t, at[float64](t, a, "system", "usedCpu"))
}
