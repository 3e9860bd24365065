package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// product is the real program as its own process, on the real engine.
type product struct {
	t        *testing.T
	binary   string
	data     string
	instance string
	image    string
	command  *exec.Cmd
	url      string
	log      string        // the file of what it writes on standard error
	out      string        // the file of what it writes on standard output
	said     chan struct{} // closed when standard output has ended
	told     ledger
}

func build(t *testing.T) *product {
	t.Helper()
	p := &product{t: t, binary: filepath.Join(t.TempDir(), "mlride"), data: t.TempDir(), log: filepath.Join(t.TempDir(), "log"), out: filepath.Join(t.TempDir(), "out"), instance: dockertest.Instance(), image: dockertest.Image(t)}
	out, err := exec.Command("go", "build", "-o", p.binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	engine := dockertest.Client(t)
	t.Cleanup(func() {
		p.end(os.Kill)
		p.keepsQuiet()
		dockertest.Clean(t, engine, p.instance)
	})
	return p
}

// start runs the server until it listens.
func (p *product) start(more ...string) {
	p.t.Helper()
	p.command = exec.Command(p.binary, "serve")
	p.command.Env = append(os.Environ(), append([]string{
		"MLRIDE_DATA=" + p.data, "MLRIDE_LISTEN=127.0.0.1:0", "MLRIDE_APPS_LISTEN=127.0.0.1:0", "MLRIDE_INSTANCE=" + p.instance,
		"MLRIDE_STARTER_IMAGE=" + p.image, "MLRIDE_MIN_MEMORY=16MiB", "MLRIDE_OVERCOMMIT=cpu=100",
		"MLRIDE_DEFAULT_QUOTA=containers=20,cpu=20", "MLRIDE_HOST_RESERVE=disk=0",
		"MLRIDE_FIREWALL=off", // the machine's own stays as it is
	}, more...)...)
	out, err := p.command.StdoutPipe()
	require.NoError(p.t, err)
	log := p.append(p.log)
	defer func() { _ = log.Close() }()
	p.command.Stderr = log
	require.NoError(p.t, p.command.Start())
	kept := p.append(p.out)
	reader := bufio.NewReader(io.TeeReader(out, kept))
	line, err := reader.ReadString('\n')
	require.NoError(p.t, err, "%s", p.written())
	p.said = make(chan struct{})
	go func() {
		defer close(p.said)
		defer func() { _ = kept.Close() }()
		_, _ = io.Copy(io.Discard, reader)
	}()
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(p.t, found, line)
	p.url = address
}

// append opens a file that lasts over restarts.
func (p *product) append(path string) *os.File {
	p.t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	return file
}

func (p *product) written() string {
	text, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return string(text)
}

func (p *product) end(signal os.Signal) {
	if p.command != nil && p.command.ProcessState == nil {
		_ = p.command.Process.Signal(signal)
		if p.said != nil {
			<-p.said // Wait would cut off what is not read yet
		}
		_ = p.command.Wait()
	}
}

// client is one person's browser.
type client struct {
	*http.Client
	p *product
}

func (p *product) client() *client {
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	return &client{&http.Client{Jar: jar, Timeout: patience}, p}
}

type answer struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
}

func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

func (c *client) try(query string, variables map[string]any) (answer, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return answer{}, err
	}
	c.p.told.asked(body)
	return c.post("application/json", body, nil)
}

// post sends a request to the API.
func (c *client) post(kind string, body []byte, header map[string]string) (answer, error) {
	request, err := http.NewRequest(http.MethodPost, c.p.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", kind)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := c.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	c.p.told.answered(response, text, a)
	return a, nil
}

func (c *client) ask(query string, variables map[string]any) answer {
	c.p.t.Helper()
	a, err := c.try(query, variables)
	require.NoError(c.p.t, err)
	return a
}

// must unpacks one field of an answer without errors.
func must[T any](c *client, field, query string, variables map[string]any) T {
	c.p.t.Helper()
	a := c.ask(query, variables)
	require.Empty(c.p.t, a.Errors)
	var v T
	require.NoError(c.p.t, json.Unmarshal(a.Data[field], &v))
	return v
}

type user struct {
	User struct {
		ID    string
		Quota quota
	}
}

type quota struct {
	MaxContainers, MaxImages int
	MaxCPU                   float64
	MaxMemory                int64
}

func (c *client) register(name string) user {
	c.p.t.Helper()
	return must[user](c, "register", `mutation($input: RegisterInput!) { register(input: $input) {
		user { id quota { maxContainers maxCpu maxMemory maxImages } } } }`,
		map[string]any{"input": map[string]any{"username": name, "email": name + "@example.org", "password": "correct horse battery"}})
}

// readyImage waits, by its subscription, until there is an image to start from.
func (c *client) readyImage() string {
	c.p.t.Helper()
	type images struct {
		Edges []struct{ Node struct{ ID string } }
	}
	query := `{ images(where: {status: [READY]}) { edges { node { id } } } }`
	events := c.follow(`subscription { imageChanged { kind } }`)
	for {
		if list := must[images](c, "images", query, nil); len(list.Edges) > 0 {
			return list.Edges[0].Node.ID
		}
		<-events
	}
}

// follow gives the lines of a subscription over server-sent events. A word a
// second comes along, so that what was published before it began is not waited for.
func (c *client) follow(query string) <-chan string {
	c.p.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	require.NoError(c.p.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.p.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.p.url+"/graphql", bytes.NewReader(body))
	require.NoError(c.p.t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := c.Do(request)
	require.NoError(c.p.t, err)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer func() { _ = response.Body.Close() }()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			if data, ok := strings.CutPrefix(scanner.Text(), "data: "); ok {
				lines <- data
			}
		}
	}()
	tick := time.NewTicker(time.Second)
	c.p.t.Cleanup(tick.Stop)
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		for {
			select {
			case line, open := <-lines:
				if !open {
					return
				}
				out <- line
			case <-tick.C:
				select {
				case out <- "":
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

const createQuery = `mutation($input: CreateContainerInput!) { createContainer(input: $input) { container { id status } } }`

func box(image, name string) map[string]any {
	return map[string]any{"input": map[string]any{
		"name": name, "imageId": image, "cpuLimit": 0.05, "memoryLimit": "16MiB", "command": []string{"sleep", "1000"},
	}}
}

type listed struct {
	Edges []struct {
		Node struct{ ID, Name, Status string }
	}
}

const listQuery = `{ containers(first: 100) { edges { node { id name status } } } }`

// TestKilledInTheMiddleOfTenCreations: kill -9 of the server, and a restart.
// Rows and engine agree then, with nothing orphaned and nothing lost.
func TestKilledInTheMiddleOfTenCreations(t *testing.T) {
	p := build(t)
	p.start()
	ann := p.client()
	ann.register("ann")
	image := ann.readyImage()
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex
		answered = map[string]bool{}
	)
	first := make(chan struct{}, 10)
	for i := range 10 {
		wait.Go(func() {
			a, err := ann.try(createQuery, box(image, fmt.Sprintf("c%d", i)))
			if err == nil && len(a.Errors) == 0 {
				var made struct{ Container struct{ ID string } }
				if json.Unmarshal(a.Data["createContainer"], &made) == nil {
					mu.Lock()
					answered[made.Container.ID] = true
					mu.Unlock()
				}
			}
			first <- struct{}{}
		})
	}
	for range 5 { // some are answered, some under way, the engine has begun with others
		<-first
	}
	p.end(os.Kill)
	wait.Wait()

	p.start()
	events := ann.follow(`subscription { containerChanged { id kind } }`)
	var list listed
	for {
		list = must[listed](ann, "containers", listQuery, nil)
		running := 0
		for _, e := range list.Edges {
			if e.Node.Status == "RUNNING" {
				running++
			}
		}
		if running == len(list.Edges) {
			break
		}
		_, open := <-events
		require.True(t, open, "they did not all run: %+v", list)
	}
	inList := map[string]bool{}
	for _, e := range list.Edges {
		inList[e.Node.ID] = true
	}
	for id := range answered {
		require.True(t, inList[id], "a container that was promised is lost")
	}
	inEngine := map[string]bool{}
	states, err := dockertest.Engine(t, p.instance).List(context.Background())
	require.NoError(t, err)
	for _, s := range states {
		inEngine[s.ID] = true
	}
	require.Equal(t, inList, inEngine)
	type viewer struct {
		Usage struct {
			Containers int
			CPU        float64
		}
	}
	used := must[viewer](ann, "viewer", `{ viewer { usage { containers cpu } } }`, nil)
	require.Equal(t, len(list.Edges), used.Usage.Containers)
	require.InDelta(t, 0.05*float64(len(list.Edges)), used.Usage.CPU, 1e-9)

	p.end(os.Interrupt) // politely: containers go on
	require.Equal(t, 0, p.command.ProcessState.ExitCode(), "%s", p.written())
	states, err = dockertest.Engine(t, p.instance).List(context.Background())
	require.NoError(t, err)
	require.Len(t, states, len(inEngine))
}
