package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"
)

// printed is how much the step of the part build prints, smaller for a quick try.
var printed = flag.Int64("printed", 1<<30, "bytes that a build prints")

const (
	// printedLine is one line of it.
	printedLine = "this line of the output of a build is about as long as such lines are, with a path /usr/lib/some/where.so"
	// weighEvery is how often the server is weighed meanwhile.
	weighEvery = 500 * time.Millisecond
)

// build is what the server's memory grows by while a build prints very much.
func build(ctx context.Context, p *product, _ *engine) ([]row, error) {
	// Anew, as what the parts before it took is not given back at once and would hide
	// what this one takes.
	p.stop()
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	before, err := p.settled(ctx)
	if err != nil {
		return nil, err
	}
	most := p.weigh(before)
	id, took, err := p.buildPrinting(ctx)
	if err != nil {
		_, _ = most()
		return nil, err
	}
	heaviest, err := most()
	if err != nil {
		return nil, err
	}
	kept, err := p.keptLines(ctx, id)
	if err != nil {
		return nil, err
	}
	return []row{
		{fmt.Sprintf("build that prints %.0f MiB: memory grown, MiB", float64(*printed)/(1<<20)), fmt.Sprintf("%.1f", heaviest-before), "", "", "< 20"},
		{"  it took, s", fmt.Sprintf("%.1f", took.Seconds()), "", "", ""},
		{fmt.Sprintf("  lines kept of %d", *printed/int64(len(printedLine)+1)), strconv.Itoa(kept), "", "", ""},
	}, p.deleteImage(ctx, id)
}

// weigh begins to weigh the server. The function it gives ends that and tells the
// most it weighed, in MiB.
func (p *product) weigh(most float64) func() (float64, error) {
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(weighEvery)
		defer tick.Stop()
		for {
			now, err := p.memory()
			most = max(most, now)
			if err != nil {
				stopped <- err
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				stopped <- nil
				return
			}
		}
	}()
	return func() (float64, error) {
		close(stop)
		err := <-stopped
		return most, err
	}
}

// buildPrinting builds on the image that is there from the start.
func (p *product) buildPrinting(ctx context.Context) (id string, took time.Duration, err error) {
	var base struct{ Node struct{ Reference string } }
	if err := p.ask(ctx, fmt.Sprintf(`{ node(id: %q) { ... on Image { reference } } }`, p.image), nil, &base); err != nil {
		return "", 0, err
	}
	await, end, err := p.followImages(ctx)
	if err != nil {
		return "", 0, err
	}
	defer end()
	var asked struct {
		BuildImage struct{ Image struct{ ID string } }
	}
	from := time.Now()
	err = p.ask(ctx, `mutation($input: BuildImageInput!) { buildImage(input: $input) { image { id } } }`, map[string]any{
		"name":       "printed",
		"dockerfile": fmt.Sprintf("FROM %s\nRUN yes '%s' | head -c %d\n", base.Node.Reference, printedLine, *printed),
	}, &asked)
	if err != nil {
		return "", 0, err
	}
	id = asked.BuildImage.Image.ID
	err = await(id, "READY")
	return id, time.Since(from), err
}

// keptLines counts what is kept of the image's log.
func (p *product) keptLines(ctx context.Context, id string) (int, error) {
	for n := 0; ; {
		var page struct {
			Node struct{ Log []struct{ Number int } }
		}
		if err := p.ask(ctx, fmt.Sprintf(`{ node(id: %q) { ... on Image { log(after: %d, first: 100) { number } } } }`, id, n), nil, &page); err != nil {
			return n, err
		}
		if len(page.Node.Log) == 0 && n == 0 {
			return 0, errors.New("the build has no log")
		}
		if len(page.Node.Log) == 0 {
			return n, nil
		}
		n += len(page.Node.Log)
	}
}
