package enginetest

import "context"

// RemoveVolume removes a volume.
func (f *Fake) RemoveVolume(ctx context.Context, id string) error { return nil }

// VolumeSize is what is in the volume.
func (f *Fake) VolumeSize(ctx context.Context, id string) (int64, error) { return 0, nil }

// ListVolumes tells the ids of all volumes.
func (f *Fake) ListVolumes(ctx context.Context) ([]string, error) { return nil, nil }

// LayerSize is what was written in the container.
func (f *Fake) LayerSize(ctx context.Context, id string) (int64, error) { return 0, nil }
