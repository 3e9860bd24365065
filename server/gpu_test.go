package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/quota"
)

func TestGPUsAreReadFromTheVendorsTool(t *testing.T) {
	t.Parallel()
	list, err := parseGPUs("GPU-8f6d2b1c-0000-1111-2222-333344445555, NVIDIA A100-SXM4-80GB\nGPU-1, Tesla T4, rev. 2\n\n")
	require.NoError(t, err)
	require.Equal(t, []quota.Device{{ID: "GPU-8f6d2b1c-0000-1111-2222-333344445555", Name: "NVIDIA A100-SXM4-80GB"}, {ID: "GPU-1", Name: "Tesla T4, rev. 2"}}, list)
	list, err = parseGPUs("")
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = parseGPUs("No devices were found\n")
	require.ErrorContains(t, err, "which is no GPU")
}

func TestGPUsAreListedInASetting(t *testing.T) {
	t.Parallel()
	var g GPUs
	require.NoError(t, g.UnmarshalText([]byte("0=A100, 1")))
	require.Equal(t, GPUs{List: []quota.Device{{ID: "0", Name: "A100"}, {ID: "1", Name: "GPU 1"}}}, g)
	require.NoError(t, g.UnmarshalText([]byte("auto")))
	require.Equal(t, GPUs{Found: true}, g)
	require.NoError(t, g.UnmarshalText([]byte("off")))
	require.Equal(t, GPUs{}, g)
	for _, bad := range []string{"0,0", "a b", "0=", "/dev/nvidia0"} {
		require.ErrorContains(t, g.UnmarshalText([]byte(bad)), "takes auto, off, or GPUs", bad)
	}
}
