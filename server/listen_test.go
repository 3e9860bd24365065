package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writePair writes a self-signed certificate for 127.0.0.1 with this serial.
func writePair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
}

func TestCertificateIsReread(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	config := Defaults()
	config.Listen = "127.0.0.1:0"
	config.TLSCert, config.TLSKey = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	l, err := Listen(t.Context(), config)
	require.NoError(t, err)
	require.ErrorContains(t, Serve(t.Context(), l, h.handler, config, h.handler.api.log), "MLRIDE_TLS_CERT")

	writePair(t, config.TLSCert, config.TLSKey, 1)
	l, err = Listen(t.Context(), config)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(config.Address(l.Addr()), "https://127.0.0.1:"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h.handler, config, h.handler.api.log) }()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // its own certificate
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		assert.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	assert.EqualValues(t, 1, serial())
	require.NoError(t, os.WriteFile(config.TLSKey, []byte("half written"), 0o600))
	require.Eventually(t, func() bool {
		serial()
		return strings.Contains(h.log.String(), "the old one stays")
	}, 10*time.Second, 20*time.Millisecond)
	assert.EqualValues(t, 1, serial())
	writePair(t, config.TLSCert, config.TLSKey, 2)
	require.Eventually(t, func() bool { return serial() == 2 }, 10*time.Second, 20*time.Millisecond)
	cancel()
	err, _ = next(t, done)
	require.NoError(t, err)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new")
	config := StoreConfig{Data: folder}
	var out strings.Builder
	require.NoError(t, Migrate(t.Context(), config, true, &out))
	assert.Contains(t, out.String(), "CREATE TABLE")
	assert.NoDirExists(t, folder, "a dry run makes nothing")
	require.NoError(t, Migrate(t.Context(), config, false, &out))
	info, err := os.Stat(folder)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	out.Reset()
	require.NoError(t, Migrate(t.Context(), config, true, &out))
	assert.Empty(t, out.String(), "nothing is left to do")
}
