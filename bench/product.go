package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// product is the real program as its own process, in a folder of its own.
type product struct {
	work, instance, binary string
	command                *exec.Cmd
	url, image             string
	// http is signed in as a user whose containers all are, root as the
	// administrator, visitor not at all.
	http, root, visitor *http.Client
}

// start runs the server until it listens.
func (p *product) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.work, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.command = exec.Command(p.binary, "serve")
	p.command.Stderr = log
	p.command.Env = append(os.Environ(),
		"MLRIDE_DATA="+filepath.Join(p.work, "data"), "MLRIDE_LISTEN=127.0.0.1:0", "MLRIDE_APPS_LISTEN=127.0.0.1:0",
		"MLRIDE_INSTANCE="+p.instance, "MLRIDE_STARTER_IMAGE=mlride-starter:test", "MLRIDE_MIN_MEMORY=16MiB", "MLRIDE_LOG=warn", "MLRIDE_FIREWALL=off",
		"MLRIDE_DEFAULT_QUOTA=containers=1000,cpu=1000,memory=1000GiB", "MLRIDE_OVERCOMMIT=cpu=100,memory=100",
		"MLRIDE_HOST_RESERVE=disk=0")
	out, err := p.command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.command.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !found {
		return fmt.Errorf("the server did not start: %q: %w", line, err)
	}
	p.url = address
	if p.http == nil {
		for _, client := range []**http.Client{&p.http, &p.root, &p.visitor} {
			jar, err := cookiejar.New(nil)
			if err != nil {
				return err
			}
			*client = &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}}
		}
	}
	response, err := p.http.Get(p.url + "/readyz")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (p *product) stop() {
	if p.command == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM)
	_ = p.command.Wait()
	p.command = nil
}

// memory is the resident size in MiB.
func (p *product) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

func (p *product) post(ctx context.Context, body []byte) ([]byte, error) {
	return p.postAs(ctx, p.http, body)
}

func (p *product) postAs(ctx context.Context, who *http.Client, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := who.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// ask unpacks data into v; an error of the API is an error.
func (p *product) ask(ctx context.Context, query string, input any, v any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": map[string]any{"input": input}})
	if err != nil {
		return err
	}
	answer, err := p.post(ctx, body)
	if err != nil {
		return err
	}
	var a struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if len(a.Errors) > 0 {
		return fmt.Errorf("%s: %s", query, a.Errors[0].Message)
	}
	return json.Unmarshal(a.Data, v)
}

// prepare registers and waits for the image.
func (p *product) prepare(ctx context.Context) error {
	for _, name := range []string{"root", "bench"} { // the first administers
		var ignored any
		err := p.ask(ctx, `mutation($input: RegisterInput!) { register(input: $input) { user { id } } }`,
			map[string]string{"username": name, "email": name + "@example.org", "password": "pine-lamp-river-42"}, &ignored)
		if err != nil {
			return err
		}
		if name == "root" {
			p.http, p.root = p.root, p.http
		}
	}
	var images struct {
		Images struct {
			Edges []struct{ Node struct{ ID string } }
		}
	}
	for len(images.Images.Edges) == 0 {
		if err := p.ask(ctx, `{ images(where: {status: [READY]}) { edges { node { id } } } }`, nil, &images); err != nil {
			return err
		}
	}
	p.image = images.Images.Edges[0].Node.ID
	return nil
}

// fillList makes what the list shows.
func (p *product) fillList(ctx context.Context) error {
	for i := range listed {
		if _, err := p.create(ctx, fmt.Sprintf("listed-%d", i), false); err != nil {
			return err
		}
	}
	var counted struct{ Containers struct{ TotalCount int } }
	for counted.Containers.TotalCount != listed { // all made in the engine
		if err := p.ask(ctx, `{ containers(where: {status: [CREATED]}) { totalCount } }`, nil, &counted); err != nil {
			return err
		}
	}
	return nil
}

func (p *product) create(ctx context.Context, name string, start bool) (string, error) {
	var made struct {
		CreateContainer struct{ Container struct{ ID string } }
	}
	err := p.ask(ctx, `mutation($input: CreateContainerInput!) { createContainer(input: $input) { container { id } } }`, map[string]any{
		"name": name, "imageId": p.image, "cpuLimit": 0.5, "memoryLimit": "32MiB", "command": []string{"sleep", "1000"}, "start": start,
	}, &made)
	return made.CreateContainer.Container.ID, err
}

// follow subscribes to all of one's own containers, as events does.
func (p *product) follow(ctx context.Context) (await func(done func(message string) bool) error, end func(), err error) {
	return p.events(ctx, `subscription { containerChanged { kind id container { status } } }`)
}

// events subscribes. The function it gives waits until done says so of a message.
func (p *product) events(ctx context.Context, subscription string) (await func(done func(message string) bool) error, end func(), err error) {
	body, err := json.Marshal(map[string]string{"query": subscription})
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := p.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	events := bufio.NewScanner(response.Body)
	return func(done func(string) bool) error {
		for events.Scan() {
			if done(events.Text()) {
				return nil
			}
		}
		return errors.Join(errors.New("the stream ended before it was seen"), events.Err())
	}, func() { _ = response.Body.Close() }, nil
}

// all waits until each of the ids was seen with what.
func all(ids []string, what string) func(string) bool {
	left := map[string]bool{}
	for _, id := range ids {
		left[id] = true
	}
	return func(message string) bool {
		if strings.Contains(message, what) {
			for id := range left {
				if strings.Contains(message, id) {
					delete(left, id)
					break
				}
			}
		}
		return len(left) == 0
	}
}

// many does something so many times, so many at once.
func many(times, atOnce int, do func(i int) error) error {
	slots, errs := make(chan struct{}, atOnce), make(chan error, times)
	for i := range times {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs <- do(i)
		}()
	}
	var wrong []error
	for range times {
		wrong = append(wrong, <-errs)
	}
	return errors.Join(wrong...)
}

// burst asks for many containers in the same moment, and gives the time until all
// were seen to be made. It removes them again.
func (p *product) burst(ctx context.Context, name string) (time.Duration, error) {
	await, end, err := p.follow(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	ids := make([]string, atOnce)
	from := time.Now()
	err = many(atOnce, atOnce, func(i int) (err error) {
		ids[i], err = p.create(ctx, fmt.Sprintf("%s-%d", name, i), false)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := await(all(ids, `"CREATED"}`)); err != nil {
		return 0, err
	}
	took := time.Since(from)
	return took, errors.Join(p.removeAll(ctx, ids), await(all(ids, `"REMOVED"`)))
}

func (p *product) removeAll(ctx context.Context, ids []string) error {
	var ignored any
	return p.ask(ctx, `mutation($input: [ID!]!) { removeContainers(ids: $input) { id } }`, ids, &ignored)
}

// fill makes an installation of inAll containers, of which some run.
func (p *product) fill(ctx context.Context) error {
	await, end, err := p.follow(ctx)
	if err != nil {
		return err
	}
	defer end()
	resting, up := make([]string, inAll-listed-running), make([]string, running)
	err = many(len(resting)+running, clients, func(i int) (err error) {
		if i < running {
			up[i], err = p.create(ctx, fmt.Sprintf("up-%d", i), true)
		} else {
			resting[i-running], err = p.create(ctx, fmt.Sprintf("rest-%d", i), false)
		}
		return err
	})
	if err != nil {
		return err
	}
	made, runs := all(resting, `"CREATED"}`), all(up, `"RUNNING"`)
	return await(func(message string) bool {
		a, b := made(message), runs(message)
		return a && b
	})
}

// processor is the processor time that the server has used so far.
func (p *product) processor() (time.Duration, error) { return processor(p.command.Process.Pid) }

func processor(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("a process without times")
	}
	var ticks int64
	for _, field := range fields[11:13] { // user and system time
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

// cycle is create, start and remove of one container, as its owner sees it by
// the subscription to all of theirs.
func (p *product) cycle(ctx context.Context, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	follow, end, err := p.follow(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	await := func(id, what string) error { return follow(all([]string{id}, what)) }
	from := time.Now()
	id, err := p.create(ctx, name, true)
	if err != nil {
		return 0, err
	}
	if err := await(id, `"RUNNING"`); err != nil {
		return 0, err
	}
	var ignored any
	err = p.ask(ctx, `mutation($input: ID!) { removeContainer(id: $input) { container { id } } }`, id, &ignored)
	if err != nil {
		return 0, err
	}
	err = await(id, `"REMOVED"`)
	return time.Since(from), err
}
