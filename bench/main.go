// Command bench measures the product against the raw engine in one run and
// prints one table of ratios. Times vary with the machine; ratios hold.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	listed  = 100 // containers in the list
	clients = 16
	rounds  = 20
	starts  = 5
	// atOnce is how many containers are asked for in the same moment, burstRounds
	// how often.
	atOnce, burstRounds = 100, 3
	// inAll and running are the containers of an installation at rest, which is
	// watched for restFor: two sweeps.
	inAll, running = 1000, 100
	restFor        = time.Minute
	// turns is how often each kind of caller asks where one request is compared.
	turns = 300
	// listFor is how long each side of the list is asked.
	listFor = 5 * time.Second
	// settle is how long the idle server is left alone before it is weighed.
	settle = 10 * time.Second
)

// part is what can be measured by itself, with -only.
type part struct {
	name string
	// listed says that it needs the containers of the list.
	listed  bool
	measure func(context.Context, *product, *engine) ([]row, error)
}

var parts = []part{
	{"list", true, list},
	{"rights", true, rights},
	{"lifecycle", true, lifecycle},
	{"burst", true, burst},
	{"start", true, startAndIdle},
	{"rest", true, rest},
	{"stats", false, stats},
	{"proxy", false, proxy},
	{"pull", false, pull},
	{"build", false, build},
}

// chosen are the parts that -only names, all for none.
func chosen(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var some []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q", name)
		}
		some = append(some, parts[i])
	}
	return some, nil
}

type row struct{ what, ours, theirs, ratio, goal string }

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, 20*time.Minute)
	defer cancelTime()
	only := flag.String("only", "", "the parts to measure, separated by commas; all of them when empty")
	flag.Parse()
	some, err := chosen(*only)
	if err == nil {
		err = run(ctx, some)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, some []part) (err error) {
	work, err := os.MkdirTemp("", "mlride-bench")
	if err != nil {
		return err
	}
	p := &product{work: work, instance: fmt.Sprintf("bench%d", os.Getpid()), binary: filepath.Join(work, "mlride")}
	raw := newEngine()
	defer func() {
		p.stop()
		// Also after an interrupt: the run's own context may be over.
		clean, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = errors.Join(err, raw.clean(clean, p.instance), os.RemoveAll(work))
	}()
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.binary, "./cmd/mlride").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	version, err := raw.version(ctx)
	if err != nil {
		return err
	}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(some, func(p part) bool { return p.listed }) {
		if err := p.fillList(ctx); err != nil {
			return err
		}
	}
	var rows []row
	for _, part := range some {
		got, err := part.measure(ctx, p, raw)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	fmt.Printf("%s · %d cores · engine %s · %s\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), version, runtime.Version())
	print(rows)
	return nil
}

func print(rows []row) {
	rows = append([]row{{"what", "MLRide", "raw engine", "ratio", "goal"}}, rows...)
	width := func(of func(row) string) int {
		n := 0
		for _, r := range rows {
			n = max(n, len([]rune(of(r))))
		}
		return n
	}
	columns := []func(row) string{
		func(r row) string { return r.what }, func(r row) string { return r.ours }, func(r row) string { return r.theirs },
		func(r row) string { return r.ratio }, func(r row) string { return r.goal },
	}
	for i, r := range rows {
		line := ""
		for _, of := range columns {
			text := of(r)
			line += text + strings.Repeat(" ", width(of)-len([]rune(text))+3)
		}
		fmt.Println(strings.TrimRight(line, " "))
		if i == 0 {
			fmt.Println(strings.Repeat("-", len([]rune(strings.TrimRight(line, " ")))))
		}
	}
}

func theList() ([]byte, error) {
	return json.Marshal(map[string]string{"query": `{ containers(first: 100) { edges { node {
		id name status cpuLimit memoryLimit createdAt image { reference } owner { username } } } } }`})
}

// list asks both sides for the same containers from many clients at once.
func list(ctx context.Context, p *product, raw *engine) ([]row, error) {
	body, err := theList()
	if err != nil {
		return nil, err
	}
	ours := load(ctx, func(ctx context.Context) error {
		answer, err := p.post(ctx, body)
		if err == nil && bytes.Count(answer, []byte(`"ctr_`)) != listed {
			err = fmt.Errorf("a list of another length: %.200s", answer)
		}
		return err
	})
	theirs := load(ctx, func(ctx context.Context) error {
		answer, err := raw.list(ctx, p.instance)
		if err == nil && len(answer) < 1000 {
			err = fmt.Errorf("a list of another length: %s", answer)
		}
		return err
	})
	if err := errors.Join(ours.err, theirs.err); err != nil {
		return nil, err
	}
	ratio := ours.rate / theirs.rate
	return []row{
		{fmt.Sprintf("list %d stopped containers, %d clients: requests/s", listed, clients), fmt.Sprintf("%.0f", ours.rate), fmt.Sprintf("%.0f", theirs.rate), fmt.Sprintf("%.2f", ratio), "≥ 3"},
		{"  median of one request, ms", ms(ours.p50), ms(theirs.p50), fmt.Sprintf("%.2f", float64(ours.p50)/float64(theirs.p50)), ""},
		{"  99th percentile, ms", ms(ours.p99), ms(theirs.p99), fmt.Sprintf("%.2f", float64(ours.p99)/float64(theirs.p99)), ""},
	}, nil
}

// rights asks for the same list as the user whose it is and as the administrator,
// for whom no predicate is added, by turns; and for next to nothing with and
// without a session, which is what looking it up costs.
func rights(ctx context.Context, p *product, _ *engine) ([]row, error) {
	body, err := theList()
	if err != nil {
		return nil, err
	}
	nothing := []byte(`{"query":"{__typename}"}`)
	var took [4][]time.Duration
	for range turns {
		for i, ask := range []struct {
			who  *http.Client
			body []byte
			want int
		}{{p.http, body, listed}, {p.root, body, listed}, {p.http, nothing, 0}, {p.visitor, nothing, 0}} {
			from := time.Now()
			answer, err := p.postAs(ctx, ask.who, ask.body)
			took[i] = append(took[i], time.Since(from))
			if err == nil && (bytes.Count(answer, []byte(`"ctr_`)) != ask.want || bytes.Contains(answer, []byte(`"errors"`))) {
				err = fmt.Errorf("another answer than asked for: %.200s", answer)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	user, admin, session := median(took[0]), median(took[1]), max(median(took[2])-median(took[3]), 0)
	return []row{
		{"authentication and visibility on a list, one client, median, ms", ms(user), "", fmt.Sprintf("%.2f", float64(user)/float64(admin-session)), "≤ 1.10"},
		{"  as the administrator, without a predicate, ms", ms(admin), "", fmt.Sprintf("%.2f", float64(user)/float64(admin)), ""},
		{"  looking up the session, share of the list", fmt.Sprintf("%.1f %%", 100*float64(session)/float64(user)), "", "", ""},
	}, nil
}

type loaded struct {
	rate     float64
	p50, p99 time.Duration
	err      error
}

func load(ctx context.Context, ask func(context.Context) error) loaded {
	ctx, cancel := context.WithTimeout(ctx, listFor)
	defer cancel()
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, clients)
	began := time.Now()
	for range clients {
		go func() {
			var r result
			for ctx.Err() == nil {
				from := time.Now()
				if err := ask(ctx); err != nil {
					if ctx.Err() == nil {
						r.err = err
					}
					break
				}
				r.took = append(r.took, time.Since(from))
			}
			results <- r
		}()
	}
	var all []time.Duration
	var err error
	for range clients {
		r := <-results
		all, err = append(all, r.took...), errors.Join(err, r.err)
	}
	elapsed := time.Since(began)
	if len(all) == 0 {
		return loaded{err: errors.Join(err, errors.New("no request was answered"))}
	}
	slices.Sort(all)
	return loaded{rate: float64(len(all)) / elapsed.Seconds(), p50: all[len(all)/2], p99: all[len(all)*99/100], err: err}
}

// lifecycle makes, starts and removes one container after the other, by turns.
func lifecycle(ctx context.Context, p *product, raw *engine) ([]row, error) {
	spec, err := raw.likeOne(ctx, p)
	if err != nil {
		return nil, err
	}
	var ours, theirs []time.Duration
	for i := range rounds {
		took, err := p.cycle(ctx, fmt.Sprintf("cycle-%d", i))
		if err != nil {
			return nil, err
		}
		ours = append(ours, took)
		if took, err = raw.cycle(ctx, fmt.Sprintf("%s-raw-%d", p.instance, i), spec); err != nil {
			return nil, err
		}
		theirs = append(theirs, took)
	}
	a, b := median(ours), median(theirs)
	return []row{{"create + start + remove, median, ms", ms(a), ms(b), fmt.Sprintf("%.3f", float64(a)/float64(b)), "≤ 1.03"}}, nil
}

// burst makes many containers in the same moment, by turns.
func burst(ctx context.Context, p *product, raw *engine) ([]row, error) {
	spec, err := raw.likeOne(ctx, p)
	if err != nil {
		return nil, err
	}
	var ours, theirs []time.Duration
	for i := range burstRounds {
		took, err := p.burst(ctx, fmt.Sprintf("burst-%d", i))
		if err != nil {
			return nil, err
		}
		ours = append(ours, took)
		if took, err = raw.burst(ctx, fmt.Sprintf("%s-burst-%d", p.instance, i), spec); err != nil {
			return nil, err
		}
		theirs = append(theirs, took)
	}
	a, b := median(ours), median(theirs)
	return []row{{
		fmt.Sprintf("%d creates at once: containers/s", atOnce), fmt.Sprintf("%.0f", atOnce/a.Seconds()), fmt.Sprintf("%.0f", atOnce/b.Seconds()),
		fmt.Sprintf("%.2f", float64(b)/float64(a)), "≥ 0.9",
	}}, nil
}

// rest is what the server costs while nobody asks for anything, sampling and
// sweeps included.
func rest(ctx context.Context, p *product, _ *engine) ([]row, error) {
	if err := p.fill(ctx); err != nil {
		return nil, err
	}
	before, err := p.processor()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(restFor):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := p.processor()
	if err != nil {
		return nil, err
	}
	share := 100 * float64(after-before) / float64(restFor)
	return []row{{
		fmt.Sprintf("%d containers at rest, %d of them running and sampled: %% of a core", inAll, running), fmt.Sprintf("%.2f", share), "", "", "< 3.1",
	}}, nil
}

// startAndIdle restarts the server on its database and weighs it at rest.
func startAndIdle(ctx context.Context, p *product, _ *engine) ([]row, error) {
	var took []time.Duration
	for range starts {
		p.stop()
		from := time.Now()
		if err := p.start(ctx); err != nil {
			return nil, err
		}
		took = append(took, time.Since(from))
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	memory, err := p.memory()
	if err != nil {
		return nil, err
	}
	return []row{
		{fmt.Sprintf("start of an installation with %d containers, median, ms", listed), ms(median(took)), "", "", "< 150"},
		{"memory of the idle server, MiB", fmt.Sprintf("%.1f", memory), "", "", "< 50"},
	}, nil
}

func median[T cmp.Ordered](took []T) T {
	slices.Sort(took)
	return took[len(took)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
