package docker

// Remote makes e go about volumes as where the engine's folders are out of reach.
func Remote(e *Engine) { e.remote = true }

// Allocated is for tests of the walk alone.
var Allocated = allocated
