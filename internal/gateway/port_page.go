package gateway

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
)

// The few pages that stand in a program's place. They run no script and load
// nothing, and say their piece in the browser's language.

// page is what is to be said.
type page struct {
	kind pageKind
	// name is of the container, detail a reason, port the one in question.
	name, detail string
	port         int
	// action is where its button leads, proof what goes with it, and refresh has
	// the browser look again.
	action, proof string
	refresh       bool
}

type pageKind int

const (
	pageNoSuch pageKind = iota
	pageNoPort
	pageBadLink
	pageForbidden
	pageBadToken
	pageSignedOut
	pageTicketOver
	pageForeign
	pageTooMany
	pageInternal
	pageRefused
	pageStopped
	pagePaused
	pageStarting
	pageClosed
	pageSlow
	pageUnreached
	pageBroken
)

// words are a title, a text and a button in two languages.
type words struct{ title, text, button string }

var pages = map[pageKind][2]words{
	pageNoSuch: {
		{"Nothing here", "There is no such container that you may see, or the address is not complete.", ""},
		{"这里什么都没有", "没有你可以查看的这个容器，或者地址不完整。", ""},
	},
	pageNoPort: {
		{"Not a declared port", "This port is not among those of the container that are reached from outside. Add it on the container's page.", ""},
		{"端口未声明", "该端口不在此容器对外开放的端口之列。请在容器页面中添加。", ""},
	},
	pageBadLink: {
		{"This address cannot be right", "Go back to the container's page and open it from there.", ""},
		{"地址有误", "请回到容器页面，从那里打开。", ""},
	},
	pageForbidden: {
		{"Not allowed", "This may not be asked for in this way.", ""},
		{"不允许", "不能以这种方式请求。", ""},
	},
	pageBadToken: {
		{"This access token does not hold", "It was revoked, is over or was never made.", ""},
		{"访问令牌无效", "它已被撤销、已过期或从未存在。", ""},
	},
	pageSignedOut: {
		{"You are not signed in", "Load the page again to sign in.", ""},
		{"你尚未登录", "请重新加载页面以登录。", ""},
	},
	pageTicketOver: {
		{"This link is over", "A link like this works once, for half a minute, and in one browser. Open the page again.", "Open"},
		{"链接已失效", "此类链接只能在同一浏览器中于半分钟内使用一次。请重新打开页面。", "打开"},
	},
	pageForeign: {
		{"Somebody else's program", "This opens a program in a container that is not yours. All programs share one origin here: its page could act as you on your own containers' pages. That you opened it is written down.", "Open it"},
		{"他人的程序", "即将打开不属于你的容器中的程序。此处所有程序共用一个源：该页面可能以你的身份操作你自己容器的页面。本次打开会被记录。", "仍然打开"},
	},
	pageTooMany: {
		{"Too much is open", "Close some of your pages, then try again.", ""},
		{"打开的连接过多", "请关闭一些页面后重试。", ""},
	},
	pageInternal: {
		{"Something went wrong on our side", "Try again in a moment.", ""},
		{"服务器出错了", "请稍后重试。", ""},
	},
	pageRefused: {
		{"That did not work", "", ""},
		{"操作未成功", "", ""},
	},
	pageStopped: {
		{"The container does not run", "Its program can be reached once it does.", "Start it"},
		{"容器未在运行", "启动后即可访问其中的程序。", "启动"},
	},
	pagePaused: {
		{"The container is paused", "Its program can be reached once it goes on.", "Go on"},
		{"容器已暂停", "恢复运行后即可访问其中的程序。", "恢复运行"},
	},
	pageStarting: {
		{"One moment", "The container is not running yet. This page looks again by itself.", ""},
		{"请稍候", "容器尚未运行。本页会自动刷新。", ""},
	},
	pageClosed: {
		{"Nothing listens there", "The container runs, and no program in it listens on this port at an address that is reached from outside it: 0.0.0.0, not 127.0.0.1. Perhaps it is still starting.", ""},
		{"没有程序在监听", "容器正在运行，但没有程序在该端口上以容器外可达的地址（0.0.0.0，而非 127.0.0.1）监听。它可能仍在启动。", ""},
	},
	pageSlow: {
		{"The program does not answer", "It took the request and said nothing for a minute.", ""},
		{"程序没有响应", "它已收到请求，但一分钟内没有任何回应。", ""},
	},
	pageUnreached: {
		{"The container's address does not answer", "Containers are reached from the machine that they run on only. Ask the administrator.", ""},
		{"容器地址没有响应", "只能从容器所在的机器访问它。请联系管理员。", ""},
	},
	pageBroken: {
		{"The program broke off", "It ended the connection before it had answered.", ""},
		{"程序中断了连接", "它在作出回应之前断开了连接。", ""},
	},
}

// pagePolicy lets a page do nothing.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
{{if .Refresh}}<meta http-equiv="refresh" content="2">{{end}}
<title>{{.Title}} · MLRide</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.4rem 1rem}</style>
</head>
<body><main>
<h1>{{.Title}}</h1>
{{if .Name}}<p><strong>{{.Name}}</strong></p>{{end}}
{{if .Text}}<p>{{.Text}}</p>{{end}}
{{if .Detail}}<p>{{.Detail}}</p>{{end}}
{{if .Button}}<form method="{{.Method}}" action="{{.Action}}">{{if .Proof}}<input type="hidden" name="proof" value="{{.Proof}}">{{end}}<button>{{.Button}}</button></form>{{end}}
</main></body>
</html>
`))

// say answers with a page to a browser, and with a line of text to a program.
func (p *Ports) say(w http.ResponseWriter, r *http.Request, status int, about page) {
	language, n := "en", 0
	if prefersChinese(r.Header.Get("Accept-Language")) {
		language, n = "zh-CN", 1
	}
	of := pages[about.kind][n]
	unkept(w.Header())
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept, Accept-Language")
	if h.Get("Content-Security-Policy") == "" || about.kind != pageForeign {
		h.Set("Content-Security-Policy", pagePolicy+"; form-action 'self'")
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.TrimSpace(of.title+". "+of.text+" "+about.detail) + "\n"))
		return
	}
	method := http.MethodPost
	if about.kind == pageTicketOver {
		method = http.MethodGet
	}
	var text bytes.Buffer
	err := pageTemplate.Execute(&text, map[string]any{
		"Lang": language, "Title": of.title, "Text": of.text, "Name": about.name, "Detail": about.detail, "Refresh": about.refresh,
		"Button": of.button, "Action": about.action, "Proof": about.proof, "Method": method,
	})
	if err != nil {
		p.Log.ErrorContext(r.Context(), "a page could not be written", "error", err)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

// prefersChinese says whether Chinese comes before English in what a browser asks for.
func prefersChinese(accept string) bool {
	for part := range strings.SplitSeq(strings.ToLower(accept), ",") {
		switch tag := strings.TrimSpace(part); {
		case strings.HasPrefix(tag, "zh"):
			return true
		case strings.HasPrefix(tag, "en"):
			return false
		}
	}
	return false
}

// asleep is the page of a container that does not run.
func (p *Ports) asleep(r *http.Request, at place, row *ent.Container) page {
	about := page{kind: pageStarting, name: row.Name, refresh: true}
	if startable(row) {
		about = page{kind: pageStopped, name: row.Name, action: at.prefix + startPath, proof: p.proof(r, at)}
		if row.Status == container.StatusPaused {
			about.kind = pagePaused
		}
		if row.StatusMessage != nil {
			about.detail = *row.StatusMessage
		}
	}
	return about
}
