package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/docker/dockertest"
)

var sleeper = []string{"sleep", "infinity"}

// openJupyter is the click.
func (w *tower) openJupyter(t *testing.T, token, id string) answerOf {
	t.Helper()
	return w.post(t, token, `mutation($id:ID!){openJupyter(id:$id){url container{id}}}`, map[string]any{"id": id})
}

func jupyterURL(t *testing.T, a answerOf) string {
	t.Helper()
	require.Empty(t, a.Errors, a.body)
	payload, _ := a.Data["openJupyter"].(map[string]any)
	at, _ := payload["url"].(string)
	require.NotEmpty(t, at)
	require.NotContains(t, at, "token")
	return at
}

// TestD47ACellRunsThroughTheProxy with a Jupyter that one click started.
func TestD47ACellRunsThroughTheProxy(t *testing.T) {
	t.Parallel()
	config, instance := towerConfig(t), dockertest.Instance()
	w := newTower(t, config, instance)
	owner, as := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	row := w.runs(as, "notebook", sleeper)
	at := jupyterURL(t, w.openJupyter(t, token, row.ID))
	b := w.newBrowser(token)
	got := b.visit(at + "tree")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, at+"tree", got.url, "no page asks for a token")
	require.True(t, w.client().AuditEvent.Query().Where(auditevent.Action("port.jupyter"), auditevent.Target(row.ID)).ExistX(theSystem))

	require.Contains(t, runCell(t, b, w.apps.URL, at, "print(6*7)"), "42")

	// A second click finds it, and so does one after a restart of the server.
	require.Equal(t, at, jupyterURL(t, w.openJupyter(t, token, row.ID)))
	require.NoError(t, w.house.ports.Goodbye(t.Context()))
	key, err := secret(config.Data)
	require.NoError(t, err)
	again := w.house.newPorts(key)
	again.Listening(w.Listener.Addr(), w.apps.Listener.Addr())
	w.apps.Config.Handler = NewApps(again, w.handler)
	require.Equal(t, http.StatusOK, b.visit(at+"tree").status, "known again, and the browser's pass holds")

	processes, err := w.house.engine.Exec(as, row.ID, []string{"ps", "axww", "-o", "args"})
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(processes.Output), "/usr/bin/jupyter-notebook --no-browser"), string(processes.Output))

	t.Run("D16AnotherGetsNotFound", func(t *testing.T) {
		other, _ := w.person(t, "other", user.RoleUser)
		theirs, _ := w.signIn(other, time.Hour)
		require.Equal(t, notFound, w.openJupyter(t, theirs, row.ID).code())
		for _, path := range []string{"", "tree", "api/kernels", "login"} {
			require.Equal(t, http.StatusNotFound, w.newBrowser(theirs).visit(at+path).status, path)
		}
		require.Equal(t, http.StatusUnauthorized, w.newBrowser("").ask(http.MethodGet, at+"api/kernels", "", "Sec-Fetch-Mode", "cors").status)
	})

	t.Run("D18ItsSecretIsNowhereToBeSeen", func(t *testing.T) {
		raw := dockertest.Client(t)
		found, err := raw.ContainerInspect(t.Context(), dockertest.ContainerName(instance, row.ID))
		require.NoError(t, err)
		for _, n := range found.NetworkSettings.Networks {
			direct := fmt.Sprintf("http://%s:8888%sapi/kernels", n.IPAddress, strings.TrimPrefix(at, w.apps.URL))
			require.Equal(t, http.StatusForbidden, w.newBrowser("").ask(http.MethodGet, direct, "").status, "without the secret nothing is told")
		}
		require.Empty(t, found.NetworkSettings.Ports["8888/tcp"], "it is published nowhere")
		require.NotContains(t, string(processes.Output), "oken=")
		// Of another owner's container the address is not reached at all.
		_, others := w.person(t, "neighbour", user.RoleUser)
		next := w.runs(others, "neighbour", sleeper)
		for _, n := range found.NetworkSettings.Networks {
			tried, err := w.house.engine.Exec(others, next.ID, []string{"timeout", "5", "python3", "-c", "import socket,sys; socket.create_connection((sys.argv[1],8888),3)", n.IPAddress})
			require.NoError(t, err)
			require.NotZero(t, tried.Code, string(tried.Output))
		}
	})
}

// TestD17NothingIsStartedOnTheHost where a container has no Jupyter, or does not run.
func TestD17NothingIsStartedOnTheHost(t *testing.T) {
	t.Parallel()
	w := newTower(t, towerConfig(t), dockertest.Instance())
	w.image = w.adopt(dockertest.Image(t))
	owner, as := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	row := w.runs(as, "plain", []string{"sleep", "3600"})
	answer := w.openJupyter(t, token, row.ID)
	require.Equal(t, "BAD_USER_INPUT", answer.code(), answer.body)
	require.Contains(t, answer.body, `"rule":"no_jupyter"`)
	out, err := exec.CommandContext(t.Context(), "ps", "axww", "-o", "args").Output()
	require.NoError(t, err)
	require.NotContains(t, string(out), "/c/"+row.ID+"/", "nothing anywhere serves it")

	_, err = w.house.lifecycle.Stop(as, row.ID, 0)
	require.NoError(t, err)
	w.await(as, row.ID, "EXITED")
	require.Equal(t, "INVALID_STATE", w.openJupyter(t, token, row.ID).code())
}

// runCell makes a kernel, has it run code, and gives what it wrote.
func runCell(t *testing.T, b *browser, origin, at, code string) string {
	t.Helper()
	made := b.ask(http.MethodPost, at+"api/kernels", `{"name":"python3"}`, "Content-Type", "application/json", "Origin", origin, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusCreated, made.status, made.body)
	kernel, _ := made.json(t)["id"].(string)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, at+"api/kernels/"+kernel+"/channels?session_id=s", &websocket.DialOptions{
		HTTPClient: b.Client, HTTPHeader: http.Header{"Origin": {origin}},
	})
	require.NoError(t, err)
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(1 << 20)
	ask := map[string]any{
		"header":        map[string]any{"msg_id": "m1", "username": "u", "session": "s", "msg_type": "execute_request", "version": "5.3"},
		"parent_header": map[string]any{}, "metadata": map[string]any{}, "channel": "shell", "buffers": []any{},
		"content": map[string]any{"code": code, "silent": false, "store_history": false, "user_expressions": map[string]any{}, "allow_stdin": false},
	}
	text, err := json.Marshal(ask)
	require.NoError(t, err)
	require.NoError(t, socket.Write(ctx, websocket.MessageText, text))
	for {
		_, said, err := socket.Read(ctx)
		require.NoError(t, err)
		var m struct {
			Type    string `json:"msg_type"`
			Content struct {
				Text string `json:"text"`
			} `json:"content"`
		}
		require.NoError(t, json.Unmarshal(said, &m))
		if m.Type == "stream" {
			return m.Content.Text
		}
	}
}
