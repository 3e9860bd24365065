package docker

import "context"

// RemoveVolume removes a volume with all that is in it.
func (e *Engine) RemoveVolume(ctx context.Context, id string) error { return nil }

// VolumeSize is what is in the volume, in bytes.
func (e *Engine) VolumeSize(ctx context.Context, id string) (int64, error) { return 0, nil }

// ListVolumes tells the ids of all volumes of this instance.
func (e *Engine) ListVolumes(ctx context.Context) ([]string, error) { return nil, nil }

// LayerSize is what was written in the container outside of its volumes.
func (e *Engine) LayerSize(ctx context.Context, id string) (int64, error) { return 0, nil }
