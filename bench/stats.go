package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// The size of the part stats, smaller for a quick try.
var (
	sampled  = flag.Int("sampled", 200, "containers that run and are sampled")
	watchers = flag.Int("watchers", 400, "watchers")
	watched  = flag.Int("watched", 5, "containers that they watch")
	sockets  = flag.Int("sockets", 40, "WebSockets that they share")
	unused   = flag.Int("unused", 150, "WebSockets that carry nothing, to weigh one")
	statsFor = flag.Duration("stats-for", 30*time.Second, "how long each state is measured")
)

// stats is what figures of running containers cost, beside the engine's streams.
func stats(ctx context.Context, p *product, raw *engine) ([]row, error) {
	if *watched > *sampled || *sockets > *watchers {
		return nil, errors.New("more are watched than run, or there are more sockets than watchers")
	}
	who, err := raw.pid()
	if err != nil {
		return nil, err
	}
	server := func() (time.Duration, error) { return p.processor() }
	engine := func() (time.Duration, error) { return family(who) }
	idle, err := cores(ctx, server)
	if err != nil {
		return nil, err
	}
	ids, err := p.runMany(ctx, *sampled)
	if err != nil {
		return nil, err
	}
	if _, err := p.settled(ctx); err != nil {
		return nil, err
	}
	sampling, err := cores(ctx, server)
	if err != nil {
		return nil, err
	}
	engineIdle, err := cores(ctx, engine)
	if err != nil {
		return nil, err
	}
	all, err := raw.containers(ctx, p.instance)
	if err != nil {
		return nil, err
	}
	theirs, theirRate, err := raw.streams(ctx, all, len(all), engine)
	if err != nil {
		return nil, err
	}
	theirWatched, _, err := raw.streams(ctx, all[:*watched], *watchers, engine)
	if err != nil {
		return nil, err
	}
	w, err := p.watching(ctx, ids[:*watched])
	if err != nil {
		return nil, err
	}
	over, theirOver := sampling-idle, theirs-engineIdle
	forWatchers, theirForWatchers := w.cores-sampling, theirWatched-engineIdle
	return []row{
		{fmt.Sprintf("%d running containers sampled at 1 Hz: cores over idle", *sampled), figure(over), figure(theirOver), share(over, theirOver), "≤ 0.06"},
		{"  samples of each a second", fmt.Sprintf("%.2f", w.rate), fmt.Sprintf("%.2f", theirRate), "", "1"},
		{fmt.Sprintf("%d watchers of %d containers over %d sockets: cores over that", *watchers, *watched, *sockets), figure(forWatchers), figure(theirForWatchers), share(forWatchers, theirForWatchers), "≤ 0.05"},
		{"  age of a sample when seen, median, ms", ms(w.age), "", "", "< 60"},
		{"  memory of a subscription, KiB", fmt.Sprintf("%.1f", w.perSubscription), "", "", "< 20"},
		{"  memory of a socket that carries nothing, KiB", fmt.Sprintf("%.1f", w.perSocket), "", "", "< 50"},
	}, nil
}

func figure(cores float64) string { return fmt.Sprintf("%.3f", cores) }

// share is a ratio, where the machine was quiet enough for one.
func share(ours, theirs float64) string {
	if ours <= 0 || theirs <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}

// cores is how many are kept busy, by what counts their time.
func cores(ctx context.Context, used func() (time.Duration, error)) (float64, error) {
	before, err := used()
	if err != nil {
		return 0, err
	}
	from := time.Now()
	select {
	case <-time.After(*statsFor):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := used()
	return float64(after-before) / float64(time.Since(from)), err
}

// runMany makes containers that run.
func (p *product) runMany(ctx context.Context, n int) ([]string, error) {
	await, end, err := p.follow(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ids := make([]string, n)
	err = many(n, clients, func(i int) (err error) {
		ids[i], err = p.create(ctx, fmt.Sprintf("sampled-%d", i), true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, await(all(ids, `"RUNNING"`))
}

type watching struct {
	cores, rate                float64
	age                        time.Duration
	perSubscription, perSocket float64 // KiB
}

// watching weighs sockets, then has many watchers of a few containers.
func (p *product) watching(ctx context.Context, ids []string) (watching, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var w watching
	empty, err := p.memory()
	if err != nil {
		return w, err
	}
	var open []*websocket.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.CloseNow()
		}
	}()
	for range *unused + *sockets {
		conn, err := p.socket(ctx)
		if err != nil {
			return w, err
		}
		open = append(open, conn)
	}
	idle, err := p.settled(ctx)
	if err != nil {
		return w, err
	}
	w.perSocket = 1024 * (idle - empty) / float64(len(open))
	for i := range *watchers {
		text, err := json.Marshal(map[string]any{"id": strconv.Itoa(i), "type": "subscribe", "payload": map[string]any{
			"query":     `subscription($id: ID!) { containerStats(id: $id) { containerId readAt cpuPercent memoryUsage pids } }`,
			"variables": map[string]string{"id": ids[i%len(ids)]},
		}})
		if err == nil {
			err = open[i%*sockets].Write(ctx, websocket.MessageText, text)
		}
		if err != nil {
			return w, err
		}
	}
	var mu sync.Mutex
	var ages []time.Duration
	errs := make(chan error, *sockets)
	for _, conn := range open[:*sockets] {
		go func() {
			errs <- listen(ctx, conn, func(age time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				ages = append(ages, age)
			})
		}()
	}
	busy, err := p.settled(ctx)
	if err != nil {
		return w, err
	}
	w.perSubscription = 1024 * (busy - idle) / float64(*watchers)
	mu.Lock()
	ages = nil
	mu.Unlock()
	if w.cores, err = cores(ctx, p.processor); err != nil {
		return w, err
	}
	select {
	case err := <-errs:
		return w, err // none ends before its time
	default:
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ages) == 0 {
		return w, errors.New("no sample came")
	}
	w.rate, w.age = float64(len(ages))/statsFor.Seconds()/float64(*watchers), median(ages)
	return w, nil
}

// settled is the server's memory after a while, in MiB.
func (p *product) settled(ctx context.Context) (float64, error) {
	select {
	case <-time.After(settle):
		return p.memory()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *product) socket(ctx context.Context) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, p.url+"/graphql", &websocket.DialOptions{HTTPClient: p.http, Subprotocols: []string{"graphql-transport-ws"}}) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"connection_init"}`)); err != nil {
		return nil, err
	}
	_, text, err := conn.Read(ctx)
	if err == nil && !bytes.Contains(text, []byte("connection_ack")) {
		err = fmt.Errorf("another answer than an acknowledgement: %s", text)
	}
	return conn, err
}

// listen reads samples until the socket ends, and tells how old each is.
func listen(ctx context.Context, conn *websocket.Conn, seen func(age time.Duration)) error {
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		var m struct {
			Type    string
			Payload struct {
				Data struct{ ContainerStats struct{ ReadAt time.Time } }
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if m.Type != "next" || m.Payload.Data.ContainerStats.ReadAt.IsZero() {
			return fmt.Errorf("another message than a sample: %s", text)
		}
		seen(now.Sub(m.Payload.Data.ContainerStats.ReadAt))
	}
}

// pid is that of the engine, as the kernel tells who listens at the socket.
func (e *engine) pid() (int, error) {
	conn, err := e.http.Transport.(*http.Transport).DialContext(context.Background(), "", "")
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("the engine is not on this machine")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var wrong error
	err = raw.Control(func(fd uintptr) { peer, wrong = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, wrong); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}

// family is the processor time of a process and of its children, as the engine
// has containerd beside it.
func family(pid int) (time.Duration, error) {
	sum, err := processor(pid)
	if err != nil {
		return 0, err
	}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(folder, "stat"))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return 0, err
		}
		if took, err := processor(child); err == nil {
			sum += took
		}
	}
	return sum, nil
}

// containers are the engine's ids of those that run.
func (e *engine) containers(ctx context.Context, instance string) ([]string, error) {
	answer, err := e.call(ctx, http.MethodGet, "/containers/json?filters="+ofInstance(instance), nil)
	if err != nil {
		return nil, err
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	slices.Sort(ids)
	return ids, nil
}

// streams reads n streams of these containers for a while: what the engine
// spends on it, and how many samples a second come on each.
func (e *engine) streams(ctx context.Context, ids []string, n int, used func() (time.Duration, error)) (busy, rate float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var mu sync.Mutex
	seen := 0
	var wrong error
	for i := range n {
		running.Go(func() {
			err := e.stream(ctx, ids[i%len(ids)], func() { mu.Lock(); seen++; mu.Unlock() })
			if ctx.Err() == nil {
				mu.Lock()
				wrong = errors.Join(wrong, err)
				mu.Unlock()
			}
		})
	}
	select {
	case <-time.After(settle / 2):
	case <-ctx.Done():
	}
	mu.Lock()
	seen = 0
	mu.Unlock()
	busy, err = cores(ctx, used)
	mu.Lock()
	defer mu.Unlock()
	return busy, float64(seen) / statsFor.Seconds() / float64(n), errors.Join(err, wrong)
}

// stream calls seen with each sample of one container.
func (e *engine) stream(ctx context.Context, id string, seen func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/containers/"+id+"/stats?stream=1", nil)
	if err != nil {
		return err
	}
	response, err := e.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewReader(response.Body); ; {
		if _, err := lines.ReadString('\n'); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("a stream ended")
			}
			return err
		}
		seen()
	}
}
