package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

// Jupyter runs in the container, started by the server beside the container's own
// program. Its secret is made of the server's key, the container, the run and the
// port, so that it need not be kept: whoever answers to it is the Jupyter that was
// started, also after a restart of the server. The browser never sees it; the proxy
// adds it to what it lets through.

const (
	firstJupyter, lastJupyter = 8888, 8907
	// jupyterTime bounds how long its start is waited for.
	jupyterTime = 90 * time.Second
	// probeTime bounds one question whether it answers.
	probeTime  = 5 * time.Second
	probeEvery = 250 * time.Millisecond
	// lookEvery is how often its log is looked at for its end.
	lookEvery = 2 * time.Second
	// unknownTime is how long it is believed that something is no Jupyter of ours.
	unknownTime = 5 * time.Second
	maxJupyters = 4096
)

// findJupyter names the program to start; nothing where there is none. The folders
// are those where images put it outside of PATH.
const findJupyter = `rm -f /tmp/mlride-jupyter.log
PATH="$PATH:$HOME/.local/bin:/opt/conda/bin:/opt/venv/bin:/usr/local/bin:/usr/bin"
for p in jupyter-lab jupyter-notebook jupyter-server; do command -v $p && exit 0; done
exit 0`

// runJupyter is given the program, the port and the prefix; the secret is in the
// environment, which the list of processes does not show. Both generations of
// Jupyter are told, each by the names that it knows. What it says goes into a file,
// whose end is told to who waits in vain.
const runJupyter = `umask 022
cd /workspace 2>/dev/null || cd "${HOME:-/nowhere}" 2>/dev/null || cd /tmp || cd /
if [ ! -w "${HOME:-/nowhere}" ]; then HOME=/tmp/mlride-home-$(id -u); export HOME; mkdir -p "$HOME"; fi
log=/tmp/mlride-jupyter.log
set -- "$1" --no-browser --allow-root --ip=0.0.0.0 --port="$2" \
 --ServerApp.port_retries=0 --NotebookApp.port_retries=0 \
 --ServerApp.base_url="$3" --NotebookApp.base_url="$3" \
 --ServerApp.allow_remote_access=True --NotebookApp.allow_remote_access=True \
 --ServerApp.open_browser=False --ServerApp.root_dir="$PWD" --NotebookApp.notebook_dir="$PWD"
"$@" >"$log" 2>&1 </dev/null
echo "` + jupyterEnded + ` $?." >>"$log"`

const jupyterEnded = "Jupyter ended with status"

// jupyters are those that are known to run.
type jupyters struct {
	mu    sync.Mutex
	known map[visitKey]foundJupyter
	// starting has a token for each container in which one is being started.
	starting map[string]chan struct{}
}

type foundJupyter struct {
	is    bool
	until time.Time
}

func (j *jupyters) init() {
	j.known, j.starting = map[visitKey]foundJupyter{}, map[string]chan struct{}{}
}

// alone waits until nobody else starts one in the container.
func (j *jupyters) alone(ctx context.Context, id string) (done func(), err error) {
	for {
		j.mu.Lock()
		busy := j.starting[id]
		if busy == nil {
			mine := make(chan struct{})
			j.starting[id] = mine
			j.mu.Unlock()
			return func() {
				j.mu.Lock()
				defer j.mu.Unlock()
				delete(j.starting, id)
				close(mine)
			}, nil
		}
		j.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (j *jupyters) lookup(key visitKey, now time.Time) (is, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f, ok := j.known[key]
	return f.is, ok && (f.is || now.Before(f.until))
}

func (j *jupyters) learn(key visitKey, is bool, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.known) >= maxJupyters {
		clear(j.known)
	}
	j.known[key] = foundJupyter{is, now.Add(unknownTime)}
}

func (p *Ports) jupyterToken(row *ent.Container, port int) string {
	return p.sign("jupyter", row.ID, strconv.Itoa(row.Run), strconv.Itoa(port))
}

// isJupyter says whether a port is that of the server's own Jupyter. A declared
// port is its owner's program's, unless the server has started one there before it
// was declared.
func (p *Ports) isJupyter(ctx context.Context, row *ent.Container, port int, declared bool) bool {
	if port < firstJupyter || port > lastJupyter {
		return false
	}
	key := visitKey{row.ID, row.Run, port}
	is, known := p.jupyters.lookup(key, p.Now())
	if known || declared {
		return known && is
	}
	is = p.probe(ctx, row, port) == nil
	p.jupyters.learn(key, is, p.Now())
	return is
}

var errNotJupyter = errors.New("no Jupyter of ours")

// probe asks what listens on a port whether it is the Jupyter that has our secret.
func (p *Ports) probe(ctx context.Context, row *ent.Container, port int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	address := fmt.Sprintf("http://%s:%d%sapi/status", row.ID, port, p.Prefix(row.ID, port))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Host = "localhost:" + strconv.Itoa(port)
	r.Header.Set("Authorization", "token "+p.jupyterToken(row, port))
	answer, err := p.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer discard(answer)
	var status struct {
		Started *string `json:"started"`
		Kernels *int    `json:"kernels"`
	}
	err = json.NewDecoder(io.LimitReader(answer.Body, maxDrain)).Decode(&status)
	if answer.StatusCode != http.StatusOK || err != nil || status.Started == nil || status.Kernels == nil {
		return errNotJupyter
	}
	return nil
}

// OpenJupyter has Jupyter run in a container and says where it is reached by
// whoever reaches the site at that origin. One that runs already is found again.
func (p *Ports) OpenJupyter(ctx context.Context, site, id string) (*ent.Container, string, error) {
	if _, err := auth.Require(ctx); err != nil {
		return nil, "", err
	}
	row, err := p.Lifecycle.Get(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if row, err = p.awake(ctx, row); err != nil {
		return nil, "", err
	}
	if row.Status != container.StatusRunning {
		return nil, "", fault.New(fault.InvalidState, "The container does not run: it is %s. Start it first.", strings.ToLower(string(row.Status))).
			With("status", string(row.Status)).With("allowed", []string{string(container.StatusRunning)})
	}
	done, err := p.jupyters.alone(ctx, id)
	if err != nil {
		return nil, "", err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, jupyterTime)
	defer cancel()
	port, err := p.jupyter(ctx, row)
	if err != nil {
		return nil, "", told(err)
	}
	p.jupyters.learn(visitKey{row.ID, row.Run, port}, true, p.Now())
	err = audit.Record(ctx, p.Client, audit.Entry{
		Action: "port.jupyter", Target: row.ID, TargetName: row.Name, Detail: "port " + strconv.Itoa(port),
	})
	return row, p.URL(site, row.ID, port), err
}

// jupyter is the port on which one runs, started where there is none.
func (p *Ports) jupyter(ctx context.Context, row *ent.Container) (int, error) {
	free := 0
	for port := firstJupyter; port <= lastJupyter; port++ {
		err := p.probe(ctx, row, port)
		switch {
		case err == nil:
			return port, nil
		case errors.Is(err, engine.ErrClosedPort):
			if free == 0 && !declares(row, port) {
				free = port
			}
		case errors.Is(err, engine.ErrUnreachable), errors.Is(err, engine.ErrRefused), errors.Is(err, engine.ErrNotFound):
			return 0, err
		}
	}
	if free == 0 {
		return 0, fault.New(fault.InvalidState, "The ports %d to %d of the container are all taken.", firstJupyter, lastJupyter)
	}
	found, err := p.Engine.Exec(ctx, row.ID, []string{"sh", "-c", findJupyter})
	if err != nil {
		return 0, err
	}
	program, _, _ := strings.Cut(strings.TrimSpace(string(found.Output)), "\n")
	if found.Code != 0 || !strings.HasPrefix(program, "/") {
		var check fault.Check
		check.That(false, "id", "no_jupyter", "Its image has no Jupyter. Build one with the preset Jupyter, or install it in the container: pip install jupyterlab.")
		return 0, check.Err()
	}
	err = p.Engine.Launch(ctx, row.ID, []string{"sh", "-c", runJupyter, "mlride-jupyter", program, strconv.Itoa(free), p.Prefix(row.ID, free)},
		[]string{"JUPYTER_TOKEN=" + p.jupyterToken(row, free)})
	if err != nil {
		return 0, err
	}
	return free, p.awaitJupyter(ctx, row, free)
}

func declares(row *ent.Container, port int) bool {
	for _, p := range row.Ports {
		if p.Port == port {
			return true
		}
	}
	return false
}

// awaitJupyter waits until it answers, or has ended.
func (p *Ports) awaitJupyter(ctx context.Context, row *ent.Container, port int) error {
	ticker, look := time.NewTicker(probeEvery), time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.notStarted(context.WithoutCancel(ctx), row, "Jupyter does not answer after %s. It last said: ", jupyterTime)
		case <-look.C:
			if strings.Contains(p.lastWords(ctx, row), jupyterEnded) {
				return p.notStarted(ctx, row, "Jupyter did not start. It last said: ")
			}
		case <-ticker.C:
			if p.probe(ctx, row, port) == nil {
				return nil
			}
		}
	}
}

func (p *Ports) notStarted(ctx context.Context, row *ent.Container, format string, args ...any) error {
	return fault.New(fault.InvalidState, "%s%s", fmt.Sprintf(format, args...), p.lastWords(ctx, row))
}

const maxLastWords = 2000

// lastWords are the last lines of what Jupyter said, without its secret.
func (p *Ports) lastWords(ctx context.Context, row *ent.Container) string {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	said, err := p.Engine.Exec(ctx, row.ID, []string{"tail", "-n", "12", "/tmp/mlride-jupyter.log"})
	if err != nil {
		return ""
	}
	text := strings.ToValidUTF8(string(said.Output), "�")
	for port := firstJupyter; port <= lastJupyter; port++ {
		text = strings.ReplaceAll(text, p.jupyterToken(row, port), "…")
	}
	if len(text) > maxLastWords {
		text = strings.ToValidUTF8(text[len(text)-maxLastWords:], "")
	}
	return strings.TrimSpace(text)
}
