-- +goose Up
ALTER TABLE `users` ADD COLUMN `must_change_password` bool NOT NULL DEFAULT (false);
ALTER TABLE `users` ADD COLUMN `avatar` text NULL;
ALTER TABLE `users` ADD COLUMN `expires_at` datetime NULL;
ALTER TABLE `users` ADD COLUMN `deletion_scheduled_at` datetime NULL;
CREATE INDEX `user_deletion_scheduled_at` ON `users` (`deletion_scheduled_at`);
CREATE INDEX `user_expires_at` ON `users` (`expires_at`);
CREATE TABLE `access_tokens` (`id` text NOT NULL, `name` text NOT NULL, `token_hash` text NOT NULL, `read_only` bool NOT NULL DEFAULT (false), `expires_at` datetime NULL, `last_used_at` datetime NULL, `created_at` datetime NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `access_tokens_users_access_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `access_tokens_token_hash_key` ON `access_tokens` (`token_hash`);
CREATE UNIQUE INDEX `accesstoken_user_id_name` ON `access_tokens` (`user_id`, `name`);
CREATE TABLE `invitations` (`id` text NOT NULL, `code_hash` text NOT NULL, `note` text NULL, `uses` integer NOT NULL DEFAULT (0), `max_uses` integer NOT NULL, `expires_at` datetime NULL, `quota` json NULL, `created_at` datetime NOT NULL, `created_by_id` text NULL, PRIMARY KEY (`id`), CONSTRAINT `invitations_users_invitations` FOREIGN KEY (`created_by_id`) REFERENCES `users` (`id`) ON DELETE SET NULL);
CREATE UNIQUE INDEX `invitations_code_hash_key` ON `invitations` (`code_hash`);
CREATE INDEX `invitation_created_at_id` ON `invitations` (`created_at`, `id`);
CREATE TABLE `quota_requests` (`id` text NOT NULL, `limits` json NOT NULL, `reason` text NULL, `status` text NOT NULL DEFAULT ('OPEN'), `answer` text NULL, `decided_at` datetime NULL, `created_at` datetime NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `quota_requests_users_quota_requests` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
CREATE INDEX `quotarequest_created_at_id` ON `quota_requests` (`created_at`, `id`);
CREATE INDEX `quotarequest_status_created_at_id` ON `quota_requests` (`status`, `created_at`, `id`);
CREATE INDEX `quotarequest_user_id_created_at_id` ON `quota_requests` (`user_id`, `created_at`, `id`);

-- +goose Down
DROP TABLE `quota_requests`;
DROP TABLE `invitations`;
DROP TABLE `access_tokens`;
DROP INDEX `user_expires_at`;
DROP INDEX `user_deletion_scheduled_at`;
ALTER TABLE `users` DROP COLUMN `deletion_scheduled_at`;
ALTER TABLE `users` DROP COLUMN `expires_at`;
ALTER TABLE `users` DROP COLUMN `avatar`;
ALTER TABLE `users` DROP COLUMN `must_change_password`;
