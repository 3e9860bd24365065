package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

// answered is an error as the SDK makes it of a status and a text.
func answered(kind error, text string) error {
	return fmt.Errorf("Error response from daemon: %s%w", text, silent{kind})
}

// silent is of a kind and says nothing, as the SDK's own wrapping.
type silent struct{ kind error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.kind }

func TestTranslate(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind error
	}{
		"no socket":             {&net.OpError{Op: "dial", Err: syscall.ENOENT}, engine.ErrUnreachable},
		"cut off":               {io.ErrUnexpectedEOF, engine.ErrUnreachable},
		"stream ended":          {io.EOF, engine.ErrUnreachable},
		"our own time ran out":  {context.DeadlineExceeded, engine.ErrUnreachable},
		"503 shutting down":     {answered(cerrdefs.ErrUnavailable, "engine is shutting down"), engine.ErrUnreachable},
		"404":                   {answered(cerrdefs.ErrNotFound, "No such container: x"), engine.ErrNotFound},
		"409":                   {answered(cerrdefs.ErrConflict, "removal of container x is already in progress"), engine.ErrBusy},
		"400":                   {answered(cerrdefs.ErrInvalidArgument, "invalid"), engine.ErrRefused},
		"400 says no space":     {answered(cerrdefs.ErrInvalidArgument, `"no space left on device" is no valid command`), engine.ErrRefused},
		"403":                   {answered(cerrdefs.ErrPermissionDenied, "by a plugin"), engine.ErrRefused},
		"500 disk":              {answered(cerrdefs.ErrInternal, "mkdir /var/lib/docker/overlay2/x: no space left on device"), engine.ErrDiskFull},
		"already of ours":       {as(engine.ErrImageMissing, errors.New("gone")), engine.ErrImageMissing},
		"as the caller gave it": {&callerError{io.ErrClosedPipe}, io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, translate(context.Background(), c.err), c.kind)
		})
	}
	require.NoError(t, translate(context.Background(), nil))

	odd := answered(cerrdefs.ErrInternal, "something else")
	require.Equal(t, odd, translate(context.Background(), odd), "what is not understood stays as it is")

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.Equal(t, context.Canceled, translate(ended, io.EOF), "the caller's leaving comes first")

	require.EqualError(t, translate(context.Background(), answered(cerrdefs.ErrNotFound, "No such container: x")),
		"not found: No such container: x")
}

func TestTranslatePull(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind error
	}{
		"404 tag": {answered(cerrdefs.ErrNotFound, "manifest for r:t not found: manifest unknown: manifest unknown"), engine.ErrNotFound},
		"404 denied": {answered(cerrdefs.ErrNotFound,
			"pull access denied for a/b, repository does not exist or may require 'docker login'"), engine.ErrUnauthorized},
		"500 no credentials":  {answered(cerrdefs.ErrInternal, `Head "http://r/v2/a/manifests/1": no basic auth credentials`), engine.ErrUnauthorized},
		"500 unauthorized":    {answered(cerrdefs.ErrInternal, `Head "https://r/v2/a/manifests/1": unauthorized: authentication required`), engine.ErrUnauthorized},
		"500 no such host":    {answered(cerrdefs.ErrInternal, `Get "https://r/v2/": dial tcp: lookup r: no such host`), engine.ErrRegistry},
		"500 refused":         {answered(cerrdefs.ErrInternal, `Get "http://r/v2/": dial tcp 127.0.0.1:1: connect: connection refused`), engine.ErrRegistry},
		"500 too many":        {answered(cerrdefs.ErrInternal, "toomanyrequests: slow down"), engine.ErrRegistry},
		"500 disk":            {answered(cerrdefs.ErrInternal, "write /var/lib/docker/tmp/x: no space left on device"), engine.ErrDiskFull},
		"in the stream: disk": {errors.New("failed to register layer: write /big: no space left on device"), engine.ErrDiskFull},
		"in the stream: else": {errors.New("received unexpected HTTP status: 502 Bad Gateway"), engine.ErrRegistry},
		"in the stream: cpu":  {errors.New("no matching manifest for linux/arm64/v8 in the manifest list entries"), engine.ErrPlatform},
		"400":                 {answered(cerrdefs.ErrInvalidArgument, "invalid reference format"), engine.ErrRefused},
		"engine lost":         {io.ErrUnexpectedEOF, engine.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, translatePull(context.Background(), c.err), c.kind)
		})
	}
}
