package server

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

// Outputs gives what containers wrote; *monitor.Service does.
type Outputs interface {
	Output(ctx context.Context, id string) (name string, read func(ctx context.Context, line func(engine.LogLine) error) error, err error)
}

const (
	// downloadBuffer is what is held of a download, in bytes, beside one line.
	downloadBuffer = 32 << 10
	// takeTime is how long a caller may take nothing of a download.
	takeTime = 30 * time.Second
	// logTimeLayout is the API's for at: nine digits, always.
	logTimeLayout = "2006-01-02T15:04:05.000000000Z07:00"
)

// logs answers with all of a container's output as a file, streamed.
func logs(outputs Outputs, present presenter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		chosen, f := chosenLines(r)
		if f != nil {
			refuse(w, r, statusOf(f.Code), f)
			return
		}
		name, read, err := outputs.Output(ctx, r.PathValue("container"))
		if err != nil {
			refuseError(w, r, present, err)
			return
		}
		header := w.Header()
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + ".log"}))
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		if r.Method == http.MethodHead {
			return
		}
		to := &patient{to: w, control: http.NewResponseController(w)}
		out := bufio.NewWriterSize(to, downloadBuffer)
		err = read(ctx, func(l engine.LogLine) error { return chosen.write(out, l) })
		if err == nil {
			err = out.Flush()
		}
		switch {
		case err == nil:
		case to.began: // a status was sent: only a broken connection tells that this is not all
			present.note(ctx, fault.Of(err), nil)
			panic(http.ErrAbortHandler)
		default:
			header.Del("Content-Disposition")
			refuseError(w, r, present, err)
		}
	})
}

// chosen are the lines that are asked for, and how.
type chosen struct {
	timestamps     bool
	stdout, stderr bool
}

func chosenLines(r *http.Request) (chosen, *fault.Fault) {
	v, err := auth.Require(r.Context())
	if err != nil {
		return chosen{}, fault.Of(err)
	}
	if v.MustChange {
		return chosen{}, fault.New(fault.Forbidden, "Your password is a one-time password. Change it first.").With("reason", "PASSWORD_CHANGE_REQUIRED")
	}
	query := r.URL.Query()
	stream, times := query.Get("stream"), query.Get("timestamps")
	var check fault.Check
	check.That(stream == "" || stream == "stdout" || stream == "stderr", "stream", "choice", "stream takes stdout or stderr.")
	check.That(times == "" || times == "0" || times == "1", "timestamps", "choice", "timestamps takes 0 or 1.")
	if err := check.Err(); err != nil {
		return chosen{}, fault.Of(err)
	}
	return chosen{timestamps: times == "1", stdout: stream != "stderr", stderr: stream != "stdout"}, nil
}

// write writes a line, if it is one of those.
func (c chosen) write(out *bufio.Writer, l engine.LogLine) error {
	if l.Stderr && !c.stderr || !l.Stderr && !c.stdout {
		return nil
	}
	if c.timestamps {
		_, _ = out.WriteString(l.At.UTC().Format(logTimeLayout) + " ") // an error stays with the writer
	}
	_, _ = out.WriteString(l.Text)
	return out.WriteByte('\n')
}

// refuseError answers with what a feature refused.
func refuseError(w http.ResponseWriter, r *http.Request, present presenter, err error) {
	f := fault.Of(err)
	present.note(r.Context(), f, nil)
	refuse(w, r, statusOf(f.Code), f)
}

// statuses are those of refusals on routes that are no GraphQL.
var statuses = map[fault.Code]int{
	fault.Unauthenticated:   http.StatusUnauthorized,
	fault.Forbidden:         http.StatusForbidden,
	fault.NotFound:          http.StatusNotFound,
	fault.BadUserInput:      http.StatusBadRequest,
	fault.EngineUnavailable: http.StatusServiceUnavailable,
}

func statusOf(code fault.Code) int { return cmp.Or(statuses[code], http.StatusInternalServerError) }

// patient writes to a caller who takes something every takeTime.
type patient struct {
	to      io.Writer
	control *http.ResponseController
	began   bool
}

func (p *patient) Write(b []byte) (int, error) {
	p.began = true
	if err := p.control.SetWriteDeadline(time.Now().Add(takeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.to.Write(b)
}
