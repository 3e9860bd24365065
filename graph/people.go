package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/quotarequest"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/graph/scalar"
)

// UpdateProfile resolves Mutation.updateProfile.
func (r mutation) UpdateProfile(_ context.Context, _ generated.UpdateProfileInput) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// UploadAvatar resolves Mutation.uploadAvatar.
func (r mutation) UploadAvatar(_ context.Context, _ scalar.Upload) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// RemoveAvatar resolves Mutation.removeAvatar.
func (r mutation) RemoveAvatar(_ context.Context) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// ChangePassword resolves Mutation.changePassword.
func (r mutation) ChangePassword(_ context.Context, _ generated.ChangePasswordInput) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// DeleteAccount resolves Mutation.deleteAccount.
func (r mutation) DeleteAccount(_ context.Context, _ string) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// RestoreAccount resolves Mutation.restoreAccount.
func (r mutation) RestoreAccount(_ context.Context, _ generated.LoginInput) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// CreateAccessToken resolves Mutation.createAccessToken.
func (r mutation) CreateAccessToken(_ context.Context, _ generated.CreateAccessTokenInput) (*generated.AccessTokenPayload, error) {
	return nil, errNotYet
}

// RevokeAccessToken resolves Mutation.revokeAccessToken.
func (r mutation) RevokeAccessToken(_ context.Context, _ string) (bool, error) {
	return false, errNotYet
}

// RequestQuota resolves Mutation.requestQuota.
func (r mutation) RequestQuota(_ context.Context, _ generated.RequestQuotaInput) (*generated.QuotaRequestPayload, error) {
	return nil, errNotYet
}

// CreateUser resolves Mutation.createUser.
func (r mutation) CreateUser(_ context.Context, _ generated.CreateUserInput) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// UpdateUser resolves Mutation.updateUser.
func (r mutation) UpdateUser(_ context.Context, _ string, _ generated.UpdateUserInput) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// UpdateUsers resolves Mutation.updateUsers.
func (r mutation) UpdateUsers(_ context.Context, _ []string, _ generated.UpdateUserInput) ([]*generated.UserResult, error) {
	return nil, errNotYet
}

// ResetPassword resolves Mutation.resetPassword.
func (r mutation) ResetPassword(_ context.Context, _ string) (*generated.ResetPasswordPayload, error) {
	return nil, errNotYet
}

// DeleteUser resolves Mutation.deleteUser.
func (r mutation) DeleteUser(_ context.Context, _ string) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// DeleteUsers resolves Mutation.deleteUsers.
func (r mutation) DeleteUsers(_ context.Context, _ []string) ([]*generated.UserResult, error) {
	return nil, errNotYet
}

// RestoreUser resolves Mutation.restoreUser.
func (r mutation) RestoreUser(_ context.Context, _ string) (*generated.UserPayload, error) {
	return nil, errNotYet
}

// ImportUsers resolves Mutation.importUsers.
func (r mutation) ImportUsers(_ context.Context, _ generated.ImportUsersInput, _ bool) (*generated.ImportUsersPayload, error) {
	return nil, errNotYet
}

// EndOfTerm resolves Mutation.endOfTerm.
func (r mutation) EndOfTerm(_ context.Context, _ []string, _ bool) (*generated.EndOfTermPayload, error) {
	return nil, errNotYet
}

// CreateInvitation resolves Mutation.createInvitation.
func (r mutation) CreateInvitation(_ context.Context, _ generated.CreateInvitationInput) (*generated.InvitationPayload, error) {
	return nil, errNotYet
}

// RevokeInvitation resolves Mutation.revokeInvitation.
func (r mutation) RevokeInvitation(_ context.Context, _ string) (bool, error) {
	return false, errNotYet
}

// GrantQuota resolves Mutation.grantQuota.
func (r mutation) GrantQuota(_ context.Context, _ string, _ *record.Limits, _ *string) (*generated.QuotaRequestPayload, error) {
	return nil, errNotYet
}

// DeclineQuota resolves Mutation.declineQuota.
func (r mutation) DeclineQuota(_ context.Context, _ string, _ *string) (*generated.QuotaRequestPayload, error) {
	return nil, errNotYet
}

// SetQuotas resolves Mutation.setQuotas.
func (r mutation) SetQuotas(_ context.Context, _ []string, _ record.Limits) ([]*generated.UserResult, error) {
	return nil, errNotYet
}

// Invitations resolves Query.invitations.
func (r query) Invitations(_ context.Context, _ *string, _ *int, _ *string, _ *int) (*generated.InvitationConnection, error) {
	return nil, errNotYet
}

// QuotaRequests resolves Query.quotaRequests.
func (r query) QuotaRequests(_ context.Context, _ *string, _ *int, _ *string, _ *int, _ *quotarequest.Status) (*generated.QuotaRequestConnection, error) {
	return nil, errNotYet
}

// AvatarURL resolves User.avatarUrl.
func (r user) AvatarURL(_ context.Context, _ *ent.User) (*string, error) { return nil, nil }

// AccessTokens resolves User.accessTokens.
func (r user) AccessTokens(_ context.Context, _ *ent.User) ([]*ent.AccessToken, error) {
	return nil, nil
}

// User resolves QuotaRequest.user.
func (r quotaRequest) User(ctx context.Context, q *ent.QuotaRequest) (*ent.User, error) {
	return r.Account.Find(ctx, q.UserID)
}

// CreatedBy resolves Invitation.createdBy.
func (r invitation) CreatedBy(ctx context.Context, i *ent.Invitation) (*ent.User, error) {
	if i.CreatedByID == nil {
		return nil, nil
	}
	return r.Account.Find(ctx, *i.CreatedByID)
}
