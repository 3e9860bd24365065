package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mlride/mlride/internal/crash"
	"github.com/mlride/mlride/internal/lifecycle"
)

// StoreConfig says where the data is kept.
type StoreConfig struct {
	Data     string   `env:"MLRIDE_DATA" default:"./data" placeholder:"FOLDER" help:"Folder of the database, avatars and secrets; made with mode 0700."`
	Database Database `env:"MLRIDE_DATABASE" placeholder:"sqlite:PATH" help:"The database; SQLite in the data folder when not given."`
}

// DatabasePath is the SQLite file.
func (c StoreConfig) DatabasePath() string {
	if c.Database != "" {
		return string(c.Database)
	}
	return filepath.Join(c.Data, "mlride.db")
}

// Config is every setting of `mlride serve`, checked. Settings whose part is
// not built yet are known too, so that a configuration written against the
// documentation starts. The documentation is docs/settings.md; a test holds
// the two together.
type Config struct {
	StoreConfig `embed:""`

	Listen         Address   `env:"MLRIDE_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the site and the API; port 0 picks one."`
	AppsListen     Address   `env:"MLRIDE_APPS_LISTEN" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address of the second origin, through which container ports are reached."`
	URL            SiteURL   `env:"MLRIDE_URL" placeholder:"URL" help:"The site as people reach it; from the listener when not given."`
	AppsURL        AppsURL   `env:"MLRIDE_APPS_URL" placeholder:"URL" help:"The second origin as people reach it; \"*.\" gives each container a host name."`
	TrustedProxies Networks  `env:"MLRIDE_TRUSTED_PROXIES" placeholder:"NETWORKS" help:"Networks whose X-Forwarded headers count, separated by commas."`
	AllowedOrigins Origins   `env:"MLRIDE_ALLOWED_ORIGINS" placeholder:"ORIGINS" help:"Further origins that browsers may call from, separated by commas."`
	TLSCert        string    `name:"tls-cert" env:"MLRIDE_TLS_CERT" placeholder:"FILE" help:"Certificate chain in PEM; reread when it changes."`
	TLSKey         string    `name:"tls-key" env:"MLRIDE_TLS_KEY" placeholder:"FILE" help:"Key of the certificate in PEM; reread when it changes."`
	RateLimit      RateLimit `env:"MLRIDE_RATE_LIMIT" default:"off" placeholder:"LIST" help:"Requests a second, as user=200,address=500, or off."`

	Engine       string `name:"docker-host" env:"DOCKER_HOST" placeholder:"URL" help:"The container engine; as the docker command line when not given."`
	Instance     Label  `env:"MLRIDE_INSTANCE" placeholder:"NAME" help:"Label on everything that is made in the engine; stored in the data folder when not given."`
	StarterImage Image  `env:"MLRIDE_STARTER_IMAGE" default:"mlride-starter:latest" placeholder:"REFERENCE" help:"Image of the engine that is offered to everybody from the start, if it is there."`
	NetworkPool  Pool   `env:"MLRIDE_NETWORK_POOL" default:"10.201.0.0/16" placeholder:"NETWORK" help:"IPv4 network that is cut into one for each user."`
	Profile      string `env:"MLRIDE_PROFILE" enum:"default,strict" default:"default" placeholder:"NAME" help:"What containers may do: default, to work and install packages, or strict, as a user without privileges on a read-only root."`
	Internet     string `env:"MLRIDE_INTERNET" enum:"on,off" default:"on" placeholder:"on|off" help:"Whether containers reach the internet."`
	Firewall     string `env:"MLRIDE_FIREWALL" enum:"auto,off" default:"auto" placeholder:"auto|off" help:"Whether the server keeps rules of its own that shield the host's services from containers, where it may."`

	GPUs GPUs `name:"gpus" env:"MLRIDE_GPUS" default:"auto" placeholder:"LIST" help:"GPUs that containers may have, as 0=A100,1=A100 in the engine's own ids; auto asks the vendor's tool, off gives none."`

	Registration string `env:"MLRIDE_REGISTRATION" enum:",open,closed,invite" default:"" placeholder:"MODE" help:"Who may register: open, closed or invite; open on a loopback address and else closed when not given."`
	SetupCode    string `env:"MLRIDE_SETUP_CODE" placeholder:"CODE" help:"Code that the first account needs off loopback; made up and printed when not given."`
	Contact      string `env:"MLRIDE_CONTACT" placeholder:"TEXT" help:"Whom to ask for help; shown at sign-in and in refusals."`

	DefaultQuota  Quota      `env:"MLRIDE_DEFAULT_QUOTA" default:"containers=5,cpu=2,memory=4GiB,gpu=0,images=20,volumes=10,disk=20GiB" placeholder:"LIST" help:"Quota of a new account; what is left out keeps its default."`
	HostReserve   Reserve    `env:"MLRIDE_HOST_RESERVE" default:"cpu=0.5,memory=1GiB,disk=10GiB" placeholder:"LIST" help:"What containers may not have together; what is left out keeps its default."`
	Overcommit    Overcommit `env:"MLRIDE_OVERCOMMIT" default:"cpu=2,memory=1" placeholder:"LIST" help:"How often the rest of the machine may be promised; what is left out keeps its default."`
	MinMemory     Size       `env:"MLRIDE_MIN_MEMORY" default:"512MiB" placeholder:"BYTES" help:"Floor of an image's minimum memory and of a container's limit."`
	DeletionGrace Span       `env:"MLRIDE_DELETION_GRACE" default:"168h" placeholder:"DURATION" help:"Between deleting an account and its removal."`
	IdleTimeout   Span       `env:"MLRIDE_IDLE_TIMEOUT" default:"off" placeholder:"DURATION" help:"How long a new container that names nothing else may do nothing before it is frozen, or off."`
	IdleMax       Span       `env:"MLRIDE_IDLE_MAX" default:"off" placeholder:"DURATION" help:"The longest idle timeout that may be asked for; off allows any, and none."`
	IdleStop      Span       `env:"MLRIDE_IDLE_STOP" default:"24h" placeholder:"DURATION" help:"How long a frozen container stays so before it is stopped, or off."`
	Trash         Span       `env:"MLRIDE_TRASH" default:"168h" placeholder:"DURATION" help:"Between deleting a volume and its removal."`

	AuditKeep Span `env:"MLRIDE_AUDIT_KEEP" default:"8760h" placeholder:"DURATION" help:"How long the audit trail is kept, or off for ever."`

	Build           Build   `env:"MLRIDE_BUILD" default:"cpu=2,memory=4GiB,pids=1024,time=1h,parallel=1" placeholder:"LIST" help:"What one build of an image may use, and how many are under way at once; what is left out keeps its default."`
	RegistryMirrors Mirrors `env:"MLRIDE_REGISTRY_MIRRORS" placeholder:"HOSTS" help:"Registry mirrors, separated by commas."`
	Catalogue       string  `env:"MLRIDE_CATALOGUE" placeholder:"FILE" help:"Well-known images, as JSON, in place of those that come with the program; reread when it changes."`
	ImageCheck      Span    `env:"MLRIDE_IMAGE_CHECK" default:"24h" placeholder:"DURATION" help:"How often registries are asked whether an image's tag has moved on, or off."`
	ImageKeep       Span    `env:"MLRIDE_IMAGE_KEEP" default:"off" placeholder:"DURATION" help:"How long an image that nobody uses is kept, or off for ever."`
	PipIndex        WebURL  `env:"MLRIDE_PIP_INDEX" placeholder:"URL" help:"Index of Python packages for builds and containers."`
	AptMirror       WebURL  `env:"MLRIDE_APT_MIRROR" placeholder:"URL" help:"Mirror of Debian or Ubuntu packages for builds and containers."`
	HTTPProxy       Proxy   `name:"http-proxy" env:"HTTP_PROXY" placeholder:"URL" help:"Proxy for builds and containers."`
	HTTPSProxy      Proxy   `name:"https-proxy" env:"HTTPS_PROXY" placeholder:"URL" help:"Proxy for builds and containers, for https."`
	NoProxy         string  `name:"no-proxy" env:"NO_PROXY" placeholder:"HOSTS" help:"What builds and containers reach without the proxy, separated by commas."`

	BackupEvery Span    `env:"MLRIDE_BACKUP_EVERY" default:"off" placeholder:"DURATION" help:"How often a backup is made into the data folder, or off."`
	BackupKeep  Count   `env:"MLRIDE_BACKUP_KEEP" default:"7" placeholder:"NUMBER" help:"How many backups are kept."`
	Log         Logging `env:"MLRIDE_LOG" default:"info" placeholder:"LEVEL[,FORMAT]" help:"debug, info, warn or error; then, if wanted, text or json. Text on a terminal and JSON elsewhere when no format is given."`
}

// leastIdle is the shortest idle timeout.
const leastIdle = lifecycle.LeastIdle

// leastSpan is the shortest time between two looks at registries, and the
// shortest that an unused image is kept.
const leastSpan = time.Minute

// Defaults is the configuration of a server that was told nothing.
func Defaults() Config {
	var c Config
	if err := kong.ApplyDefaults(&c); err != nil {
		panic("server: a default is ill-formed: " + err.Error()) // the tags above are wrong; TestDefaults would have said so
	}
	return c
}

// Validate checks what one setting alone cannot tell. kong calls it.
func (c Config) Validate() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("MLRIDE_TLS_CERT and MLRIDE_TLS_KEY take a file each, or neither is given")
	}
	if c.Listen == c.AppsListen && !strings.HasSuffix(string(c.Listen), ":0") {
		return fmt.Errorf("MLRIDE_APPS_LISTEN takes another address than MLRIDE_LISTEN, not %q for both", c.Listen)
	}
	if c.URL != "" && strings.EqualFold(string(c.URL), string(c.AppsURL)) {
		return fmt.Errorf("MLRIDE_APPS_URL takes another origin than MLRIDE_URL, not %q for both", c.URL)
	}
	if d := c.IdleTimeout.Duration; d != 0 && d < leastIdle {
		return fmt.Errorf("MLRIDE_IDLE_TIMEOUT takes %s or more, or off, not %s", leastIdle, d)
	}
	if d := c.IdleMax.Duration; d != 0 && (d < leastIdle || d < c.IdleTimeout.Duration) {
		return fmt.Errorf("MLRIDE_IDLE_MAX takes at least %s and at least MLRIDE_IDLE_TIMEOUT, or off, not %s", leastIdle, d)
	}
	if d := c.ImageCheck.Duration; d != 0 && d < leastSpan {
		return fmt.Errorf("MLRIDE_IMAGE_CHECK takes %s or more, or off, not %s", leastSpan, d)
	}
	if d := c.ImageKeep.Duration; d != 0 && d < leastSpan {
		return fmt.Errorf("MLRIDE_IMAGE_KEEP takes %s or more, or off, not %s", leastSpan, d)
	}
	if c.Data == "" {
		return errors.New("MLRIDE_DATA takes a folder such as ./data")
	}
	return nil
}

// OnLoopback says whether only this machine reaches the site directly.
func (c Config) OnLoopback() bool {
	host, _, err := net.SplitHostPort(string(c.Listen))
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// RegistrationMode is who may register: open, closed or invite.
func (c Config) RegistrationMode() string {
	switch {
	case c.Registration != "":
		return c.Registration
	case c.OnLoopback():
		return "open"
	default:
		return "closed"
	}
}

// TLS says whether the site is served over TLS by this process.
func (c Config) TLS() bool { return c.TLSCert != "" }

// Address is the site as people reach it, given where it listens.
func (c Config) Address(listener net.Addr) string {
	if c.URL != "" {
		return string(c.URL)
	}
	if c.TLS() {
		return "https://" + listener.String()
	}
	return "http://" + listener.String()
}

// proxied says whether an address is one of a trusted proxy.
func (c Config) proxied(ip netip.Addr) bool {
	for _, network := range c.TrustedProxies {
		if network.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// CheckEnvironment refuses a MLRIDE_ variable that no command knows, and one
// whose value its setting does not take. The error is one line that names the
// variable and says what it takes. environ is as os.Environ gives it.
func CheckEnvironment(model *kong.Application, environ []string) error {
	known := map[string]*kong.Flag{}
	collect(model.Node, known)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		flag := known[name]
		switch {
		case flag != nil && value != "":
			if err := try(flag, value); err != nil {
				return fmt.Errorf("%s %w", name, err)
			}
		case name == crash.Armed, name == crash.Trace: // tests' own, read where they are meant
		case flag == nil && strings.HasPrefix(name, "MLRIDE_"):
			return fmt.Errorf("%s is not a setting; the nearest is %s (all of them: mlride serve --help)", name, nearest(name, known))
		}
	}
	return nil
}

func collect(node *kong.Node, into map[string]*kong.Flag) {
	for _, flag := range node.Flags {
		for _, env := range flag.Envs {
			into[env] = flag
		}
	}
	for _, child := range node.Children {
		collect(child, into)
	}
}

// try parses value as the flag would, into a value of its own.
func try(flag *kong.Flag, value string) error {
	if flag.Enum != "" {
		for _, allowed := range strings.Split(flag.Enum, ",") {
			if value == allowed {
				return nil
			}
		}
		return fmt.Errorf("takes one of %s, not %q", strings.TrimPrefix(flag.Enum, ","), value)
	}
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value})
	return flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, reflect.New(flag.Target.Type()).Elem())
}

// EmptyVariables names the variables that are set to nothing. They count as
// not given, since compose files write them so; the command unsets them.
func EmptyVariables(environ []string) []string {
	var names []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" && (strings.HasPrefix(name, "MLRIDE_") || strings.HasSuffix(name, "_PROXY") || name == "DOCKER_HOST") {
			names = append(names, name)
		}
	}
	return names
}
