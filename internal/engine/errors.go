package engine

import "errors"

// What an engine can answer besides success. Adapters wrap these, so that
// errors.Is finds the kind and Error still says what the engine said.
var (
	// ErrNotFound: there is no such container, image or reference.
	ErrNotFound = errors.New("not found")
	// ErrUnreachable: the engine did not answer; it may or may not have acted.
	ErrUnreachable = errors.New("engine unreachable")
	// ErrRefused: the engine will not do this however often it is asked.
	ErrRefused = errors.New("refused by the engine")
	// ErrImageMissing: the container's image is not in the engine.
	ErrImageMissing = errors.New("image missing in the engine")
	// ErrDiskFull: the engine has no room left.
	ErrDiskFull = errors.New("no space left on the engine's disk")
	// ErrRegistry: the registry could not be reached, refused or failed.
	ErrRegistry = errors.New("registry failed")
	// ErrUnauthorized: the registry wants credentials for this reference, or has none of it.
	ErrUnauthorized = errors.New("registry wants credentials")
	// ErrBusy: another operation on the same object is under way; ask again.
	ErrBusy = errors.New("busy")
)
