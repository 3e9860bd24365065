package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/mlride/mlride/graph/generated"
)

// rootFields is a row for every root field: who may use it, and a call that
// would reach its resolver. A field without a row fails the test, so a new one
// is a decision.
var rootFields = map[string]struct {
	to   generated.Access
	call string
}{
	"Query.node":              {generated.AccessSignedIn, `node(id:"ctr_1"){id}`},
	"Query.nodes":             {generated.AccessSignedIn, `nodes(ids:["ctr_1"]){id}`},
	"Query.viewer":            {generated.AccessPublic, `viewer{id}`},
	"Query.serverInfo":        {generated.AccessPublic, `serverInfo{version}`},
	"Query.containers":        {generated.AccessSignedIn, `containers{totalCount}`},
	"Query.images":            {generated.AccessSignedIn, `images{totalCount}`},
	"Query.volumes":           {generated.AccessSignedIn, `volumes{totalCount}`},
	"Query.users":             {generated.AccessAdmin, `users{totalCount}`},
	"Query.auditEvents":       {generated.AccessSignedIn, `auditEvents{totalCount}`},
	"Query.invitations":       {generated.AccessAdmin, `invitations{totalCount}`},
	"Query.quotaRequests":     {generated.AccessSignedIn, `quotaRequests{totalCount}`},
	"Query.imageCatalogue":    {generated.AccessSignedIn, `imageCatalogue{name}`},
	"Query.imageBases":        {generated.AccessSignedIn, `imageBases{name}`},
	"Query.imagePresets":      {generated.AccessSignedIn, `imagePresets{name}`},
	"Query.previewDockerfile": {generated.AccessSignedIn, `previewDockerfile(input:{name:"a"})`},
	"Query.admission":         {generated.AccessSignedIn, `admission(input:{name:"a",imageId:"img_1"}){allowed}`},
	"Query.system":            {generated.AccessAdmin, `system{version}`},

	"Mutation.register":          {generated.AccessPublic, `register(input:{username:"a",email:"a@b",password:"x"}){user{id}}`},
	"Mutation.login":             {generated.AccessPublic, `login(input:{login:"a",password:"x"}){user{id}}`},
	"Mutation.logout":            {generated.AccessSignedIn, `logout`},
	"Mutation.revokeSession":     {generated.AccessSignedIn, `revokeSession(id:"ses_1")`},
	"Mutation.updateProfile":     {generated.AccessSignedIn, `updateProfile(input:{nickname:"a"}){user{id}}`},
	"Mutation.uploadAvatar":      {generated.AccessSignedIn, `uploadAvatar(file:"none"){user{id}}`},
	"Mutation.removeAvatar":      {generated.AccessSignedIn, `removeAvatar{user{id}}`},
	"Mutation.changePassword":    {generated.AccessSignedIn, `changePassword(input:{currentPassword:"a",newPassword:"b"}){user{id}}`},
	"Mutation.deleteAccount":     {generated.AccessSignedIn, `deleteAccount(password:"a"){user{id}}`},
	"Mutation.restoreAccount":    {generated.AccessPublic, `restoreAccount(input:{login:"a",password:"x"}){user{id}}`},
	"Mutation.createAccessToken": {generated.AccessSignedIn, `createAccessToken(input:{name:"a"}){secret}`},
	"Mutation.revokeAccessToken": {generated.AccessSignedIn, `revokeAccessToken(id:"tok_1")`},
	"Mutation.requestQuota":      {generated.AccessSignedIn, `requestQuota(input:{limits:{maxCpu:1}}){quotaRequest{id}}`},
	"Mutation.createUser":        {generated.AccessAdmin, `createUser(input:{username:"a",email:"a@b"}){user{id}}`},
	"Mutation.updateUser":        {generated.AccessAdmin, `updateUser(id:"user_1",input:{role:USER}){user{id}}`},
	"Mutation.updateUsers":       {generated.AccessAdmin, `updateUsers(ids:["user_1"],input:{role:USER}){id}`},
	"Mutation.resetPassword":     {generated.AccessAdmin, `resetPassword(userId:"user_1"){oneTimePassword}`},
	"Mutation.deleteUser":        {generated.AccessAdmin, `deleteUser(id:"user_1"){user{id}}`},
	"Mutation.deleteUsers":       {generated.AccessAdmin, `deleteUsers(ids:["user_1"]){id}`},
	"Mutation.restoreUser":       {generated.AccessAdmin, `restoreUser(id:"user_1"){user{id}}`},
	"Mutation.importUsers":       {generated.AccessAdmin, `importUsers(input:{csv:"a"}){dryRun}`},
	"Mutation.endOfTerm":         {generated.AccessAdmin, `endOfTerm(ids:["user_1"]){bytes}`},
	"Mutation.createInvitation":  {generated.AccessAdmin, `createInvitation(input:{maxUses:1}){code}`},
	"Mutation.revokeInvitation":  {generated.AccessAdmin, `revokeInvitation(id:"inv_1")`},
	"Mutation.grantQuota":        {generated.AccessAdmin, `grantQuota(id:"qreq_1"){quotaRequest{id}}`},
	"Mutation.declineQuota":      {generated.AccessAdmin, `declineQuota(id:"qreq_1"){quotaRequest{id}}`},
	"Mutation.setQuotas":         {generated.AccessAdmin, `setQuotas(userIds:["user_1"],input:{maxCpu:1}){id}`},
	"Mutation.setQuota":          {generated.AccessAdmin, `setQuota(userId:"user_1",input:{maxCpu:1}){quota{id}}`},
	"Mutation.pullImage":         {generated.AccessSignedIn, `pullImage(input:{reference:"a"}){image{id}}`},
	"Mutation.buildImage":        {generated.AccessSignedIn, `buildImage(input:{name:"a"}){image{id}}`},
	"Mutation.commitContainer":   {generated.AccessSignedIn, `commitContainer(id:"ctr_1",input:{name:"a"}){image{id}}`},
	"Mutation.updateImage":       {generated.AccessSignedIn, `updateImage(id:"img_1",input:{minGpu:1}){image{id}}`},
	"Mutation.refreshImage":      {generated.AccessSignedIn, `refreshImage(id:"img_1"){image{id}}`},
	"Mutation.pruneImages":       {generated.AccessAdmin, `pruneImages(dryRun:true){bytes}`},
	"Mutation.closeTerminal":     {generated.AccessSignedIn, `closeTerminal(id:"ctr_1",name:"a"){container{id}}`},
	"Mutation.openJupyter":       {generated.AccessSignedIn, `openJupyter(id:"ctr_1"){url}`},
	"Mutation.cancelImage":       {generated.AccessSignedIn, `cancelImage(id:"img_1"){image{id}}`},
	"Mutation.deleteImage":       {generated.AccessSignedIn, `deleteImage(id:"img_1"){image{id}}`},
	"Mutation.createVolume":      {generated.AccessSignedIn, `createVolume(input:{name:"a"}){volume{id}}`},
	"Mutation.updateVolume":      {generated.AccessSignedIn, `updateVolume(id:"vol_1",input:{name:"b"}){volume{id}}`},
	"Mutation.deleteVolume":      {generated.AccessSignedIn, `deleteVolume(id:"vol_1"){volume{id}}`},
	"Mutation.restoreVolume":     {generated.AccessSignedIn, `restoreVolume(id:"vol_1"){volume{id}}`},
	"Mutation.purgeVolume":       {generated.AccessSignedIn, `purgeVolume(id:"vol_1")`},
	"Mutation.keepContainer":     {generated.AccessSignedIn, `keepContainer(id:"ctr_1"){container{id}}`},
	"Mutation.createContainer":   {generated.AccessSignedIn, `createContainer(input:{name:"a",imageId:"img_1"}){container{id}}`},
	"Mutation.startContainer":    {generated.AccessSignedIn, `startContainer(id:"ctr_1"){container{id}}`},
	"Mutation.stopContainer":     {generated.AccessSignedIn, `stopContainer(id:"ctr_1"){container{id}}`},
	"Mutation.restartContainer":  {generated.AccessSignedIn, `restartContainer(id:"ctr_1"){container{id}}`},
	"Mutation.pauseContainer":    {generated.AccessSignedIn, `pauseContainer(id:"ctr_1"){container{id}}`},
	"Mutation.unpauseContainer":  {generated.AccessSignedIn, `unpauseContainer(id:"ctr_1"){container{id}}`},
	"Mutation.updateContainer":   {generated.AccessSignedIn, `updateContainer(id:"ctr_1",input:{name:"b"}){container{id}}`},
	"Mutation.removeContainer":   {generated.AccessSignedIn, `removeContainer(id:"ctr_1"){container{id}}`},
	"Mutation.startContainers":   {generated.AccessSignedIn, `startContainers(ids:["ctr_1"]){id}`},
	"Mutation.stopContainers":    {generated.AccessSignedIn, `stopContainers(ids:["ctr_1"]){id}`},
	"Mutation.removeContainers":  {generated.AccessSignedIn, `removeContainers(ids:["ctr_1"]){id}`},

	"Subscription.containerStats":   {generated.AccessSignedIn, `containerStats(id:"ctr_1"){pids}`},
	"Subscription.containersStats":  {generated.AccessSignedIn, `containersStats{pids}`},
	"Subscription.containerLogs":    {generated.AccessSignedIn, `containerLogs(id:"ctr_1"){text}`},
	"Subscription.containerChanged": {generated.AccessSignedIn, `containerChanged{kind}`},
	"Subscription.imageChanged":     {generated.AccessSignedIn, `imageChanged{kind}`},
	"Subscription.auditEventAdded":  {generated.AccessAdmin, `auditEventAdded{action}`},
	"Subscription.imageLog":         {generated.AccessSignedIn, `imageLog(id:"img_1"){number}`},
	"Subscription.usageChanged":     {generated.AccessSignedIn, `usageChanged{containers}`},
}

// TestEveryRootFieldSaysWhoMayUseIt walks the schema: each root field carries
// @access exactly once and has its row.
func TestEveryRootFieldSaysWhoMayUseIt(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachRootField(func(kind string, field *ast.FieldDefinition) {
		name := kind + "." + field.Name
		seen[name] = true
		directives := field.Directives.ForNames("access")
		require.Len(t, directives, 1, "%s needs @access once", name)
		row, ok := rootFields[name]
		require.True(t, ok, "%s needs a row in this table", name)
		assert.Equal(t, string(row.to), directives[0].Arguments.ForName("to").Value.Raw, name)
	})
	for name := range rootFields {
		assert.True(t, seen[name], "%s is not in the schema any more", name)
	}
}

func eachRootField(do func(kind string, field *ast.FieldDefinition)) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for _, kind := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, field := range kind.Fields {
			if !strings.HasPrefix(field.Name, "__") {
				do(kind.Name, field)
			}
		}
	}
}

// TestEveryElementIsDescribed holds the schema to being the reference manual.
func TestEveryElementIsDescribed(t *testing.T) {
	t.Parallel()
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	described := func(text, format string, args ...any) {
		assert.NotEmpty(t, strings.TrimSpace(text), "%s has no description", fmt.Sprintf(format, args...))
	}
	for name, kind := range schema.Types {
		if kind.BuiltIn {
			continue
		}
		described(kind.Description, "%s", name)
		for _, value := range kind.EnumValues {
			described(value.Description, "%s.%s", name, value.Name)
		}
		for _, field := range kind.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			described(field.Description, "%s.%s", name, field.Name)
			for _, argument := range field.Arguments {
				described(argument.Description, "%s.%s(%s:)", name, field.Name, argument.Name)
			}
		}
	}
	for name, directive := range schema.Directives {
		if directive.Position != nil && directive.Position.Src.BuiltIn {
			continue
		}
		described(directive.Description, "@%s", name)
		for _, argument := range directive.Arguments {
			described(argument.Description, "@%s(%s:)", name, argument.Name)
		}
	}
}

// TestAccess asks for every root field as everybody, by every transport that
// carries it. A resolver that is reached answers or panics, since most have no
// stub; who is refused hears exactly why.
func TestAccess(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	people := []struct{ name, token string }{{"visitor", ""}, {"user", aliceToken}, {"admin", adminToken}}
	sockets := map[string]client{}
	for _, p := range people {
		sockets[p.name] = h.socket(t, p.token, transportWS, true)
	}
	eachRootField(func(kind string, field *ast.FieldDefinition) {
		row := rootFields[kind+"."+field.Name]
		query := strings.ToLower(kind) + "{" + row.call + "}"
		for _, p := range people {
			want := ""
			switch {
			case row.to != generated.AccessPublic && p.name == "visitor":
				want = "UNAUTHENTICATED"
			case row.to == generated.AccessAdmin && p.name == "user":
				want = "FORBIDDEN"
			}
			check := func(transport, body string) {
				var got answerOf
				require.NoError(t, json.Unmarshal([]byte(body), &got), body)
				code := got.code()
				if want == "" { // reached
					assert.NotContains(t, []string{"UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}, code,
						"%s as %s over %s: %s", query, p.name, transport, body)
					return
				}
				assert.Equal(t, want, code, "%s as %s over %s", query, p.name, transport)
			}
			if kind != "Subscription" {
				check("POST", h.post(t, p.token, query, nil).body)
			}
			if kind == "Query" {
				check("GET", h.do(t, request{method: http.MethodGet, path: "/graphql?query=" + url.QueryEscape(query), token: p.token}).body)
			}
			stream, answered := h.events(t, p.token, http.MethodPost, query)
			first, _ := next(t, stream)
			if field.Name != "login" || want != "" { // reached, it says that an event stream sets no cookie
				check("SSE", first.data)
			}
			_ = answered.Body.Close()

			socket := sockets[p.name]
			socket.subscribe(field.Name, query)
			m := socket.read()
			if field.Name != "login" || want != "" {
				check("WebSocket", string(m.Payload))
			}
			if field.Name == "usageChanged" && want == "" {
				socket.send(`{"type":"complete","id":"usageChanged"}`)
				continue
			}
			for m.Type == "next" {
				m = socket.read()
			}
		}
	})
}
