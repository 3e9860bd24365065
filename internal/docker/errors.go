package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// This is the one place where the engine's errors become ours: by status code
// and type. Texts are looked at only where the engine answers 500 to everything
// that went wrong behind it, or one code for two meanings.

// errClosed is what calls hear after Close.
var errClosed = fmt.Errorf("%w: the adapter is closed", engine.ErrUnreachable)

// kinds are the errors of package engine, which translate leaves as they are.
var kinds = []error{
	engine.ErrNotFound, engine.ErrUnreachable, engine.ErrRefused, engine.ErrImageMissing, engine.ErrDiskFull,
	engine.ErrRegistry, engine.ErrUnauthorized, engine.ErrBusy, engine.ErrBuild, engine.ErrPlatform,
}

// translate gives err as one of the engine.Err… kinds, or as it is when nothing
// is known of it. ctx is the caller's: when it has ended, that is the error.
func translate(ctx context.Context, err error) error {
	if err == nil || isKind(err) {
		return err
	}
	var callback *callerError
	if errors.As(err, &callback) {
		return callback.err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case isConnection(err):
		return as(engine.ErrUnreachable, err)
	case isDiskFull(err):
		return as(engine.ErrDiskFull, err)
	case cerrdefs.IsUnavailable(err): // 503: going down, or a proxy before an engine that is not there
		return as(engine.ErrUnreachable, err)
	case cerrdefs.IsNotFound(err):
		return as(engine.ErrNotFound, err)
	case cerrdefs.IsConflict(err):
		return as(engine.ErrBusy, err)
	case cerrdefs.IsInvalidArgument(err), cerrdefs.IsPermissionDenied(err), cerrdefs.IsUnauthorized(err), cerrdefs.IsNotImplemented(err):
		return as(engine.ErrRefused, err)
	}
	return err
}

// translatePull tells what a pull answered, before its stream or within it.
func translatePull(ctx context.Context, err error) error {
	if err == nil || isKind(err) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := err.Error()
	switch {
	case isConnection(err):
		return as(engine.ErrUnreachable, err)
	case isDiskFull(err):
		return as(engine.ErrDiskFull, err)
	case cerrdefs.IsUnauthorized(err), cerrdefs.IsPermissionDenied(err),
		// 404, like a reference that is not there: the registry does not tell which.
		strings.Contains(text, "pull access denied"),
		// 500, as everything else that the registry said:
		strings.Contains(text, "unauthorized: "),
		strings.Contains(text, "no basic auth credentials"),
		strings.Contains(text, "denied: requested access to the resource is denied"):
		return as(engine.ErrUnauthorized, err)
	// In the stream, with no code; or 404, where the registry is only asked.
	case strings.Contains(text, "no matching manifest for "):
		return as(engine.ErrPlatform, err)
	case cerrdefs.IsNotFound(err),
		// In the stream, from engines that begin it before they ask the registry.
		strings.Contains(text, "manifest unknown"):
		return as(engine.ErrNotFound, err)
	case cerrdefs.IsInvalidArgument(err), cerrdefs.IsNotImplemented(err):
		return as(engine.ErrRefused, err)
	case cerrdefs.IsUnavailable(err):
		return as(engine.ErrUnreachable, err)
	}
	return as(engine.ErrRegistry, err) // 500, or an error in the stream: what is left is the registry's doing
}

// isMemoryInUse says that an update asked for less memory than is in use. The
// engine answers 500, with only the runtime's text to tell.
func isMemoryInUse(err error) bool {
	return cerrdefs.IsInternal(err) && strings.Contains(err.Error(), "unable to set memory limit to ")
}

// isRuntimeRefusal says that a start failed because the runtime cannot make this
// process: a limit too small to begin with, a setting that the kernel refuses, a
// user that the image names and does not have. The engine has a code for a
// missing program only, and 500 for these.
func isRuntimeRefusal(err error) bool {
	return cerrdefs.IsInternal(err) && !isDiskFull(err) &&
		(strings.Contains(err.Error(), "OCI runtime create failed") || strings.Contains(err.Error(), "unable to find user "))
}

// isNotConnected says that a container to be taken off a network was not on it.
// The engine has no code of its own for that.
func isNotConnected(err error) bool { return strings.Contains(err.Error(), "is not connected to") }

// isOverlap says that a subnet is held by another network, of the engine or of a
// bridge that it met. Measured as 403; other versions may choose another code.
func isOverlap(err error) bool {
	return err != nil && (cerrdefs.IsPermissionDenied(err) || strings.Contains(strings.ToLower(err.Error()), "overlap"))
}

// isDiskFull says that the engine's disk is full. It comes as 500 or within a
// stream, with only the kernel's text for ENOSPC to tell.
func isDiskFull(err error) bool {
	return strings.Contains(err.Error(), "no space left on device") &&
		!cerrdefs.IsNotFound(err) && !cerrdefs.IsInvalidArgument(err)
}

// isConnection says that the engine was not reached, or was lost in mid-answer,
// or ran out of the time that we gave it.
func isConnection(err error) bool {
	var network net.Error
	var operation *net.OpError
	var syntax *json.SyntaxError // an answer that was cut off
	return client.IsErrConnectionFailed(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) || errors.As(err, &operation) || errors.As(err, &syntax)
}

func isKind(err error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// as makes err one of our kinds and keeps what the engine said, without the
// SDK's own preface.
func as(kind, err error) error {
	return fmt.Errorf("%w: %s", kind, strings.TrimPrefix(err.Error(), "Error response from daemon: "))
}

// callerError carries an error of the caller's own function through a stream,
// so that it comes back as it was.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }
