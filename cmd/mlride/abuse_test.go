package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestP10WhoTakesAllHarmsNobody: beside containers that burn the processor, fork,
// write and eat memory without end, lists are answered and a neighbour works on.
func TestP10WhoTakesAllHarmsNobody(t *testing.T) {
	p := build(t)
	p.start("MLRIDE_HOST_RESERVE=cpu=0.5,memory=1GiB,disk=0")
	p.client().register("root") // the first one administers, and sees everybody's
	ann, ben := p.client(), p.client()
	ann.register("ann")
	ben.register("ben")
	image := ann.readyImage()
	make := func(c *client, name, script string) string {
		input := box(image, name)
		of := input["input"].(map[string]any)
		of["command"], of["cpuLimit"], of["memoryLimit"] = []string{"sh", "-c", script}, 1, "64MiB"
		made := must[struct{ Container struct{ ID string } }](c, "createContainer", createQuery, input)
		return made.Container.ID
	}
	neighbour := make(ben, "neighbour", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done")
	ticks := ben.follow(fmt.Sprintf(`subscription { containerLogs(id: %q, tail: 0) { text } }`, neighbour))
	work := func(until int) {
		for seen := 0; seen < until; {
			line, open := <-ticks
			require.True(t, open, "the neighbour does not work")
			if strings.Contains(line, "tick") {
				seen++
			}
		}
	}
	work(3)
	bad := map[string]string{
		"burns":  make(ann, "burns", "while :; do :; done"),
		"forks":  make(ann, "forks", "f() { f | f & }; (f) & exec sleep 1000"),
		"writes": make(ann, "writes", "while :; do dd if=/dev/zero of=/full bs=1M count=48 2>/dev/null; done"),
		"eats":   make(ann, "eats", "x=x; while :; do x=$x$x; done"),
	}
	status := func(c *client, id string) string {
		type node struct{ Status string }
		return must[node](c, "node", fmt.Sprintf(`{ node(id: %q) { ... on Container { status } } }`, id), nil).Status
	}
	changes := ann.follow(`subscription { containerChanged { id } }`)
	for name, id := range bad {
		type begun struct{ StartedAt *string }
		query := fmt.Sprintf(`{ node(id: %q) { ... on Container { startedAt } } }`, id)
		for must[begun](ann, "node", query, nil).StartedAt == nil {
			_, open := <-changes
			require.True(t, open, "%s was not started", name)
		}
	}
	for status(ann, bad["eats"]) != "EXITED" {
		_, open := <-changes
		require.True(t, open, "what eats memory was not ended")
	}
	type ended struct{ LastExit struct{ Reason string } }
	why := must[ended](ann, "node", fmt.Sprintf(`{ node(id: %q) { ... on Container { lastExit { reason } } } }`, bad["eats"]), nil)
	require.Equal(t, "OUT_OF_MEMORY", why.LastExit.Reason)

	var took []time.Duration
	for range 30 {
		from := time.Now()
		list := must[listed](ann, "containers", listQuery, nil)
		took = append(took, time.Since(from))
		require.Len(t, list.Edges, len(bad))
	}
	work(5)
	require.Equal(t, "RUNNING", status(ben, neighbour))
	slices.Sort(took)
	t.Logf("lists beside them: median %s, slowest %s", took[len(took)/2], took[len(took)-1])
	require.Less(t, took[len(took)/2], time.Second, "what P10 asks of the middle one")

	for _, id := range bad {
		must[any](ann, "removeContainer", `mutation($id: ID!) { removeContainer(id: $id) { container { id } } }`, map[string]any{"id": id})
	}
	for len(must[listed](ann, "containers", listQuery, nil).Edges) > 0 {
		_, open := <-changes
		require.True(t, open, "they were not removed")
	}
}
