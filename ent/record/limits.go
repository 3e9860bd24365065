package record

// Limits are some limits of a quota; nil where nothing is said.
type Limits struct {
	MaxContainers *int     `json:"maxContainers,omitempty"`
	MaxCPU        *float64 `json:"maxCpu,omitempty"`
	MaxMemory     *Bytes   `json:"maxMemory,omitempty"`
	MaxGPU        *int     `json:"maxGpu,omitempty"`
	MaxImages     *int     `json:"maxImages,omitempty"`
	MaxVolumes    *int     `json:"maxVolumes,omitempty"`
	MaxDisk       *Bytes   `json:"maxDisk,omitempty"`
}
