package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// drainTime is how long a stopping server waits for what it is answering.
	drainTime = 10 * time.Second
)

// Listen opens the site's address. An address that is taken is an error that
// names the setting.
func Listen(ctx context.Context, config Config) (net.Listener, error) {
	return listen(ctx, "MLRIDE_LISTEN", config.Listen)
}

func listen(ctx context.Context, setting string, at Address) (net.Listener, error) {
	var open net.ListenConfig
	l, err := open.Listen(ctx, "tcp", string(at))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

// Drained is a handler that can say goodbye to what has no end of its own.
type Drained interface {
	http.Handler
	// Goodbye ends sockets and streams, and waits for what is being answered until
	// ctx ends.
	Goodbye(ctx context.Context) error
}

// Serve answers on l until ctx ends; then it takes no more, ends sockets with
// 1012 and waits for what is being answered, at most ten seconds. It returns
// nil after such a stop.
func Serve(ctx context.Context, l net.Listener, handler Drained, config Config, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong below HTTP
	}
	failed := make(chan error, 1)
	if config.TLS() {
		pair := &certificate{cert: config.TLSCert, key: config.TLSKey, log: log}
		if err := pair.load(); err != nil {
			return errors.Join(fmt.Errorf("MLRIDE_TLS_CERT and MLRIDE_TLS_KEY: %w", err), l.Close())
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
		go func() { failed <- server.ServeTLS(l, "", "") }()
	} else {
		go func() { failed <- server.Serve(l) }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	goodbye := make(chan error, 1)
	go func() { goodbye <- handler.Goodbye(drain) }()
	err := errors.Join(server.Shutdown(drain), <-goodbye)
	if err != nil {
		log.Warn("stopped before everything was answered", "error", err)
		_ = server.Close() // the process ends
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// certificate is a pair of files, read again when either changes. A pair that
// cannot be read leaves the one that is in use.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stamp   string
	current *tls.Certificate
}

// get implements tls.Config.GetCertificate. It looks at the files at most once
// a second.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > time.Second {
		c.looked = time.Now()
		if c.stamp != c.stampNow() {
			if err := c.read(); err != nil {
				c.log.Error("the certificate has changed and cannot be read; the old one stays", "error", err)
			}
		}
	}
	return c.current, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *certificate) read() error {
	stamp := c.stampNow()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

// stampNow changes when either file does.
func (c *certificate) stampNow() string {
	stamp := ""
	for _, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return stamp
}
