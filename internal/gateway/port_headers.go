package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// ourCookies begin so; browsers' own prefixes may stand before.
const ourCookies = "mlride_"

// isOurs says whether a cookie's name is one of the server's.
func isOurs(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, prefix := range []string{"__host-", "__secure-", "__http-", "__host-http-"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name == "" || strings.HasPrefix(name, ourCookies)
}

// stripCookies takes our cookies out of what goes to a program. The browser sends
// it those of the site as well: cookies know no ports.
func stripCookies(h http.Header) {
	var kept []string
	for _, line := range h.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, named := strings.Cut(pair, "=")
			if pair = strings.TrimSpace(pair); named && !isOurs(name) {
				kept = append(kept, pair)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// confineCookies lets a program set cookies for itself and nobody else: none with
// a name of ours, or without a name, which a browser would send as one; and all on
// the path of the program and this host.
func confineCookies(h http.Header, prefix string) {
	lines := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, line := range lines {
		parts := strings.Split(line, ";")
		name, _, named := strings.Cut(parts[0], "=")
		if !named || isOurs(name) || strings.ContainsFunc(line, isControl) {
			continue
		}
		kept, path := []string{strings.TrimSpace(parts[0])}, prefix
		for _, part := range parts[1:] {
			attribute, value, _ := strings.Cut(part, "=")
			switch strings.ToLower(strings.TrimSpace(attribute)) {
			case "domain":
			case "path":
				if value = strings.TrimSpace(value); strings.HasPrefix(value, prefix) && !hasDots(value) {
					path = value
				}
			default:
				kept = append(kept, strings.TrimSpace(part))
			}
		}
		h.Add("Set-Cookie", strings.Join(append(kept, "Path="+path), "; "))
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// withheld are headers by which a program would speak for more than itself: for
// the whole origin, or for the host with all its ports, the site's among them.
var withheld = []string{
	"Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Alt-Svc",
	"Nel", "Report-To", "Expect-Ct", "Service-Worker-Allowed", "Origin-Agent-Cluster",
	"X-Request-Id", // ours is there already
}

// confine takes from a program's answer what would reach beyond it.
func confine(h http.Header, v *visit) {
	for _, name := range withheld {
		h.Del(name)
	}
	confineCookies(h, v.prefix)
	if to := h.Get("Location"); to != "" {
		h.Set("Location", v.outside(to))
	}
}

// outside is where a redirect of the program's leads, as the browser has to say
// it: the program knows neither our host nor, perhaps, its prefix.
func (v *visit) outside(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return to
	}
	if u.Host != "" {
		if u.Host != v.inner && u.Host != v.host {
			return to
		}
		u.Scheme, u.Host = "", ""
		if u.Path == "" {
			u.Path = "/"
		}
	}
	raw := u.EscapedPath()
	if strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, v.prefix) && raw+"/" != v.prefix {
		setPath(u, v.prefix+strings.TrimLeft(raw, "/"))
	}
	return u.String()
}

// inside replaces our origin by the program's own in a header that names one, so
// that its check whether a page of its own asks finds so.
func (v *visit) inside(h http.Header, name string) {
	given := h.Get(name)
	if rest, ours := strings.CutPrefix(given, v.self); ours && (rest == "" || rest[0] == '/') {
		h.Set(name, "http://"+v.inner+rest)
	}
}
