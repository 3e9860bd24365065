package record

import "time"

// Port is a port in a container that is reached through the server.
type Port struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// BuildForm is what the form for a build said.
type BuildForm struct {
	Base           string   `json:"base"`
	Preset         *string  `json:"preset,omitempty"`
	Packages       []string `json:"packages"`
	SystemPackages []string `json:"systemPackages"`
}

// Layer is one step of an image's making.
type Layer struct {
	Command   string    `json:"command"`
	Size      Bytes     `json:"size"`
	CreatedAt time.Time `json:"createdAt"`
}
