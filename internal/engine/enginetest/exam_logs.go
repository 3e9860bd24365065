package enginetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// read gives the log's lines as they stand.
func (x *exam) read(id string, opts engine.LogOptions) []engine.LogLine {
	x.Helper()
	var lines []engine.LogLine
	x.must(x.Engine.Logs(x.ctx, id, opts, func(l engine.LogLine) error {
		lines = append(lines, l)
		return nil
	}))
	return lines
}

// texts are the lines' texts, those of standard error with a mark.
func texts(lines []engine.LogLine) []string {
	all := []string{}
	for _, l := range lines {
		if l.Stderr {
			all = append(all, "! "+l.Text)
		} else {
			all = append(all, l.Text)
		}
	}
	return all
}

func (x *exam) logs() {
	told := x.follow(x.Engine)
	all := engine.LogOptions{Tail: -1}
	id := x.created(script("echo one", "echo two", "echo three"))
	equal(x, "lines before the first run", len(x.read(id, all)), 0)
	equal(x, "also when following", len(x.read(id, engine.LogOptions{Tail: -1, Follow: true})), 0)
	x.must(x.Engine.Start(x.ctx, id))
	x.awaitStatus(told, id, engine.StatusExited)

	lines := x.read(id, all)
	x.sameTexts(lines, "one", "two", "three")
	for i, l := range lines {
		if l.At.IsZero() || i > 0 && l.At.Before(lines[i-1].At) {
			x.Fatalf("times: %v", lines)
		}
	}
	x.sameTexts(x.read(id, engine.LogOptions{Tail: 2}), "two", "three")
	x.sameTexts(x.read(id, engine.LogOptions{Tail: 0}))
	x.sameTexts(x.read(id, engine.LogOptions{Tail: -1, Since: lines[0].At}), "two", "three")
	x.sameTexts(x.read(id, engine.LogOptions{Tail: -1, Since: lines[2].At}))
	x.sameTexts(x.read(id, engine.LogOptions{Tail: -1, Follow: true}), "one", "two", "three") // ends, as it does not run
	x.sameTexts(x.read(id, engine.LogOptions{Tail: 1, Follow: true}), "three")
	x.sameTexts(x.read(id, engine.LogOptions{Tail: 100}), "one", "two", "three")
	x.sameTexts(x.read(id, engine.LogOptions{Tail: -1, Since: lines[1].At.Add(1)}), "three") // to the nanosecond

	enough := errors.New("enough")
	count := 0
	err := x.Engine.Logs(x.ctx, id, all, func(engine.LogLine) error { count++; return enough })
	equal(x, "the caller's own error", err, enough)
	equal(x, "calls", count, 1)

	x.must(x.Engine.Start(x.ctx, id)) // a second run goes on in the same log
	x.awaitEvents(told, id, "create", "start", "die", "start", "die")
	x.sameTexts(x.read(id, all), "one", "two", "three", "one", "two", "three")

	apart := x.started(script("echo error >&2", "exit 1"))
	x.awaitStatus(told, apart, engine.StatusExited)
	x.sameTexts(x.read(apart, all), "! error")
}

func (x *exam) sameTexts(lines []engine.LogLine, want ...string) {
	x.Helper()
	if got := texts(lines); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		x.Fatalf("lines: got %q, want %q", got, want)
	}
}

func (x *exam) logsFollow() {
	id := x.started(script("echo first", "exec sleep 3600"))
	follow := func(ctx context.Context, opts engine.LogOptions) (<-chan engine.LogLine, <-chan error) {
		lines, ended := make(chan engine.LogLine, 100), make(chan error, 1)
		go func() {
			ended <- x.Engine.Logs(ctx, id, opts, func(l engine.LogLine) error { lines <- l; return nil })
		}()
		return lines, ended
	}
	next := func(lines <-chan engine.LogLine, want string, stderr bool) engine.LogLine {
		x.Helper()
		select {
		case l := <-lines:
			equal(x, "line", l.Text, want)
			equal(x, "standard error", l.Stderr, stderr)
			return l
		case <-time.After(patience):
			x.Fatalf("the line %q never came", want)
			return engine.LogLine{}
		}
	}
	lines, ended := follow(x.ctx, engine.LogOptions{Tail: -1, Follow: true})
	next(lines, "first", false)
	x.Host.Say(id, "second", false)
	second := next(lines, "second", false)
	x.Host.Say(id, "third", true)
	next(lines, "third", true)

	ctx, cancel := context.WithCancel(x.ctx)
	again, left := follow(ctx, engine.LogOptions{Tail: -1, Since: second.At, Follow: true})
	next(again, "third", true)
	cancel()
	x.must(<-left) // the caller's leaving is no error

	x.must(x.Engine.Stop(x.ctx, id, 10*time.Second))
	x.must(<-ended)
	equal(x, "lines left", len(lines), 0)
}
