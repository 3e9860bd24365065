package live_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/live"
)

func TestTopicGivesTheNewestAndEndsWithItsContext(t *testing.T) {
	var topic live.Topic[int]
	ctx, cancel := context.WithCancel(context.Background())
	ch := topic.Listen(ctx)
	for i := range 100 { // nobody reads: nobody waits
		topic.Publish(i)
	}
	require.Equal(t, 99, <-ch)
	cancel()
	_, open := <-ch
	require.False(t, open)
	require.Zero(t, topic.Listeners())
	topic.Publish(1)
}

func TestTopicWithListenersThatComeAndGo(t *testing.T) {
	var topic live.Topic[int]
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			ch := topic.Listen(ctx)
			<-ch
			cancel()
			for range ch { // until it is closed
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	for i := 0; ; i++ {
		topic.Publish(i)
		select {
		case <-done:
			require.Zero(t, topic.Listeners())
			return
		default:
		}
	}
}

func TestFeedFoldsWhatIsUnread(t *testing.T) {
	var feed live.Feed
	ctx, cancel := context.WithCancel(context.Background())
	sub := feed.Subscribe(ctx, func(c live.Change) bool { return c.Owner == "ann" })
	change := func(id, owner string, op live.Op) live.Change {
		return live.Change{Kind: live.Container, ID: id, Owner: owner, Op: op}
	}
	feed.Publish(change("1", "ann", live.Created), change("2", "ben", live.Created))
	for range 1000 {
		feed.Publish(change("1", "ann", live.Updated))
	}
	feed.Publish(change("3", "ann", live.Updated), change("3", "ann", live.Removed))
	c, err := sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, change("1", "ann", live.Created), c, "made and changed is still new")
	c, err = sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, change("3", "ann", live.Removed), c, "the last state is never missed")
	require.Equal(t, 1, feed.Subscribers())
	cancel()
	_, err = sub.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return feed.Subscribers() == 0 }, 10e9, 1e6)
}
