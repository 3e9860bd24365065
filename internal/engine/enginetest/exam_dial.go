package enginetest

import (
	"io"
	"net"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// dial: a port is reached in the container that was named, while it runs.
func (x *exam) dial() {
	id := x.started([]string{"httpd", "-f", "-p", "8080"})
	var conn net.Conn
	x.until("it listens", func() bool {
		var err error
		conn, err = x.Engine.Dial(x.ctx, id, 8080)
		return err == nil
	})
	_, err := io.WriteString(conn, "GET /none HTTP/1.0\r\n\r\n")
	x.must(err)
	answer, err := io.ReadAll(conn)
	x.must(err)
	x.must(conn.Close())
	equal(x, "the program's answer", strings.Contains(string(answer), "404 Not Found"), true)

	_, err = x.Engine.Dial(x.ctx, id, 8081)
	x.is(err, engine.ErrClosedPort)
	_, err = x.Other.Dial(x.ctx, id, 8080)
	x.is(err, engine.ErrNotFound)
	_, err = x.Engine.Dial(x.ctx, x.Host.NewID("ctr"), 8080)
	x.is(err, engine.ErrNotFound)
	x.must(x.Engine.Pause(x.ctx, id))
	_, err = x.Engine.Dial(x.ctx, id, 8080)
	x.is(err, engine.ErrRefused)
	x.must(x.Engine.Unpause(x.ctx, id))
	x.must(x.Engine.Stop(x.ctx, id, 0))
	_, err = x.Engine.Dial(x.ctx, id, 8080)
	x.is(err, engine.ErrRefused)
}

// launch: a program is started beside the container's own.
func (x *exam) launch() {
	const mib = 1 << 20
	id := x.started(sleep)
	x.must(x.Engine.Launch(x.ctx, id, script("head -c 3145728 /dev/zero > /three"), []string{"SECRET=1"}))
	x.until("it has written", func() bool {
		size, err := x.Engine.LayerSize(x.ctx, id)
		x.must(err)
		return size >= 3*mib
	})
	equal(x, "its own goes on", x.inspect(id).Status, engine.StatusRunning)
	x.is(x.Other.Launch(x.ctx, id, script("exit 0"), nil), engine.ErrNotFound)
	x.is(x.Engine.Launch(x.ctx, x.Host.NewID("ctr"), script("exit 0"), nil), engine.ErrNotFound)
	x.must(x.Engine.Stop(x.ctx, id, 0))
	x.is(x.Engine.Launch(x.ctx, id, script("exit 0"), nil), engine.ErrRefused)
}

// until asks again and again until it holds.
func (x *exam) until(what string, holds func() bool) {
	x.Helper()
	for !holds() {
		select {
		case <-x.ctx.Done():
			x.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
