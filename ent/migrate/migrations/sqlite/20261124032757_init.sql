-- +goose Up
-- create "audit_events" table
CREATE TABLE `audit_events` (`id` text NOT NULL, `at` datetime NOT NULL, `actor_id` text NULL, `actor_name` text NOT NULL, `action` text NOT NULL, `target` text NULL, `target_name` text NULL, `outcome` text NOT NULL, `ip` text NULL, `detail` text NULL, `request_id` text NULL, PRIMARY KEY (`id`));
-- create index "auditevent_at_id" to table: "audit_events"
CREATE INDEX `auditevent_at_id` ON `audit_events` (`at`, `id`);
-- create index "auditevent_actor_id_at_id" to table: "audit_events"
CREATE INDEX `auditevent_actor_id_at_id` ON `audit_events` (`actor_id`, `at`, `id`);
-- create index "auditevent_target_at_id" to table: "audit_events"
CREATE INDEX `auditevent_target_at_id` ON `audit_events` (`target`, `at`, `id`);
-- create "containers" table
CREATE TABLE `containers` (`id` text NOT NULL, `name` text NOT NULL, `desired` text NOT NULL, `run` integer NOT NULL DEFAULT (0), `observed` text NOT NULL DEFAULT ('ABSENT'), `observed_run` integer NOT NULL DEFAULT (0), `engine_started_at` text NOT NULL DEFAULT (''), `failed` bool NOT NULL DEFAULT (false), `status` text NOT NULL DEFAULT ('PENDING'), `status_message` text NULL, `reserved` bool NOT NULL DEFAULT (false), `reserved_at` datetime NULL, `cpu_limit` integer NOT NULL, `memory_limit` integer NOT NULL, `gpu_limit` integer NOT NULL DEFAULT (0), `applied_cpu` integer NOT NULL DEFAULT (0), `applied_memory` integer NOT NULL DEFAULT (0), `command` json NOT NULL, `environment` json NOT NULL, `restart_policy` text NOT NULL DEFAULT ('NEVER'), `restarts` integer NOT NULL DEFAULT (0), `stop_grace` integer NOT NULL DEFAULT (10), `stopped_by` text NULL, `last_exit` json NULL, `started_at` datetime NULL, `finished_at` datetime NULL, `idempotency_key` text NULL, `created_at` datetime NOT NULL, `image_id` text NOT NULL, `owner_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `containers_images_containers` FOREIGN KEY (`image_id`) REFERENCES `images` (`id`) ON DELETE NO ACTION, CONSTRAINT `containers_users_containers` FOREIGN KEY (`owner_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION);
-- create index "container_owner_id_name" to table: "containers"
CREATE UNIQUE INDEX `container_owner_id_name` ON `containers` (`owner_id`, `name`);
-- create index "container_owner_id_idempotency_key" to table: "containers"
CREATE UNIQUE INDEX `container_owner_id_idempotency_key` ON `containers` (`owner_id`, `idempotency_key`);
-- create index "container_created_at_id" to table: "containers"
CREATE INDEX `container_created_at_id` ON `containers` (`created_at`, `id`);
-- create index "container_name_id" to table: "containers"
CREATE INDEX `container_name_id` ON `containers` (`name`, `id`);
-- create index "container_status_created_at_id" to table: "containers"
CREATE INDEX `container_status_created_at_id` ON `containers` (`status`, `created_at`, `id`);
-- create index "container_status_id" to table: "containers"
CREATE INDEX `container_status_id` ON `containers` (`status`, `id`);
-- create index "container_owner_id_created_at_id" to table: "containers"
CREATE INDEX `container_owner_id_created_at_id` ON `containers` (`owner_id`, `created_at`, `id`);
-- create index "container_owner_id_status_created_at_id" to table: "containers"
CREATE INDEX `container_owner_id_status_created_at_id` ON `containers` (`owner_id`, `status`, `created_at`, `id`);
-- create index "container_image_id" to table: "containers"
CREATE INDEX `container_image_id` ON `containers` (`image_id`);
-- create "container_events" table
CREATE TABLE `container_events` (`id` text NOT NULL, `at` datetime NOT NULL, `kind` text NOT NULL, `message` text NOT NULL, `container_id` text NOT NULL, `actor_id` text NULL, PRIMARY KEY (`id`), CONSTRAINT `container_events_containers_events` FOREIGN KEY (`container_id`) REFERENCES `containers` (`id`) ON DELETE CASCADE, CONSTRAINT `container_events_users_actor` FOREIGN KEY (`actor_id`) REFERENCES `users` (`id`) ON DELETE SET NULL);
-- create index "containerevent_container_id_at_id" to table: "container_events"
CREATE INDEX `containerevent_container_id_at_id` ON `container_events` (`container_id`, `at`, `id`);
-- create "hosts" table
CREATE TABLE `hosts` (`id` text NOT NULL, `name` text NOT NULL, `cpu` integer NOT NULL DEFAULT (0), `memory` integer NOT NULL DEFAULT (0), `gpu` integer NOT NULL DEFAULT (0), `engine_boot` datetime NULL, `used_cpu` integer NOT NULL DEFAULT (0), `used_memory` integer NOT NULL DEFAULT (0), `used_gpu` integer NOT NULL DEFAULT (0), PRIMARY KEY (`id`));
-- create index "hosts_name_key" to table: "hosts"
CREATE UNIQUE INDEX `hosts_name_key` ON `hosts` (`name`);
-- create "images" table
CREATE TABLE `images` (`id` text NOT NULL, `reference` text NOT NULL, `requested_reference` text NOT NULL, `prefer_slim` bool NOT NULL DEFAULT (false), `used_fallback` bool NOT NULL DEFAULT (false), `digest` text NULL, `engine_id` text NULL, `size` integer NULL, `source` text NOT NULL DEFAULT ('PULL'), `status` text NOT NULL DEFAULT ('PENDING'), `status_message` text NULL, `visibility` text NOT NULL DEFAULT ('PRIVATE'), `min_cpu` integer NOT NULL DEFAULT (10), `min_memory` integer NOT NULL, `min_gpu` integer NOT NULL DEFAULT (0), `created_at` datetime NOT NULL, `owner_id` text NULL, PRIMARY KEY (`id`), CONSTRAINT `images_users_images` FOREIGN KEY (`owner_id`) REFERENCES `users` (`id`) ON DELETE SET NULL);
-- create index "image_created_at_id" to table: "images"
CREATE INDEX `image_created_at_id` ON `images` (`created_at`, `id`);
-- create index "image_status_created_at_id" to table: "images"
CREATE INDEX `image_status_created_at_id` ON `images` (`status`, `created_at`, `id`);
-- create index "image_owner_id_created_at_id" to table: "images"
CREATE INDEX `image_owner_id_created_at_id` ON `images` (`owner_id`, `created_at`, `id`);
-- create index "image_owner_id_status_created_at_id" to table: "images"
CREATE INDEX `image_owner_id_status_created_at_id` ON `images` (`owner_id`, `status`, `created_at`, `id`);
-- create index "image_visibility_created_at_id" to table: "images"
CREATE INDEX `image_visibility_created_at_id` ON `images` (`visibility`, `created_at`, `id`);
-- create index "image_reference_id" to table: "images"
CREATE INDEX `image_reference_id` ON `images` (`reference`, `id`);
-- create "quota" table
CREATE TABLE `quota` (`id` text NOT NULL, `max_containers` integer NOT NULL, `max_cpu` integer NOT NULL, `max_memory` integer NOT NULL, `max_gpu` integer NOT NULL, `max_images` integer NOT NULL, `max_volumes` integer NOT NULL, `max_disk` integer NOT NULL, `used_containers` integer NOT NULL DEFAULT (0), `used_cpu` integer NOT NULL DEFAULT (0), `used_memory` integer NOT NULL DEFAULT (0), `used_gpu` integer NOT NULL DEFAULT (0), `used_images` integer NOT NULL DEFAULT (0), `updated_at` datetime NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `quota_users_quota` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
-- create index "quota_user_id_key" to table: "quota"
CREATE UNIQUE INDEX `quota_user_id_key` ON `quota` (`user_id`);
-- create "sessions" table
CREATE TABLE `sessions` (`id` text NOT NULL, `token_hash` text NOT NULL, `ip` text NOT NULL, `user_agent` text NOT NULL, `last_seen_at` datetime NOT NULL, `expires_at` datetime NOT NULL, `created_at` datetime NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
-- create index "sessions_token_hash_key" to table: "sessions"
CREATE UNIQUE INDEX `sessions_token_hash_key` ON `sessions` (`token_hash`);
-- create index "session_user_id_created_at_id" to table: "sessions"
CREATE INDEX `session_user_id_created_at_id` ON `sessions` (`user_id`, `created_at`, `id`);
-- create index "session_expires_at" to table: "sessions"
CREATE INDEX `session_expires_at` ON `sessions` (`expires_at`);
-- create "usage_records" table
CREATE TABLE `usage_records` (`id` text NOT NULL, `owner_id` text NOT NULL, `container_id` text NOT NULL, `container` text NOT NULL, `image` text NOT NULL, `cpu` integer NOT NULL, `memory` integer NOT NULL, `gpu` integer NOT NULL, `from` datetime NOT NULL, `to` datetime NOT NULL, PRIMARY KEY (`id`));
-- create index "usagerecord_owner_id_to" to table: "usage_records"
CREATE INDEX `usagerecord_owner_id_to` ON `usage_records` (`owner_id`, `to`);
-- create index "usagerecord_to" to table: "usage_records"
CREATE INDEX `usagerecord_to` ON `usage_records` (`to`);
-- create "users" table
CREATE TABLE `users` (`id` text NOT NULL, `username` text NOT NULL, `username_key` text NOT NULL, `email` text NULL, `email_key` text NULL, `nickname` text NULL, `password_hash` text NOT NULL, `role` text NOT NULL DEFAULT ('USER'), `suspended_at` datetime NULL, `last_seen_at` datetime NULL, `created_at` datetime NOT NULL, PRIMARY KEY (`id`));
-- create index "users_username_key_key" to table: "users"
CREATE UNIQUE INDEX `users_username_key_key` ON `users` (`username_key`);
-- create index "users_email_key_key" to table: "users"
CREATE UNIQUE INDEX `users_email_key_key` ON `users` (`email_key`);
-- create index "user_created_at_id" to table: "users"
CREATE INDEX `user_created_at_id` ON `users` (`created_at`, `id`);
-- create index "user_last_seen_at_id" to table: "users"
CREATE INDEX `user_last_seen_at_id` ON `users` (`last_seen_at`, `id`);
-- create index "user_role_created_at_id" to table: "users"
CREATE INDEX `user_role_created_at_id` ON `users` (`role`, `created_at`, `id`);

-- +goose Down
-- reverse: create index "user_role_created_at_id" to table: "users"
DROP INDEX `user_role_created_at_id`;
-- reverse: create index "user_last_seen_at_id" to table: "users"
DROP INDEX `user_last_seen_at_id`;
-- reverse: create index "user_created_at_id" to table: "users"
DROP INDEX `user_created_at_id`;
-- reverse: create index "users_email_key_key" to table: "users"
DROP INDEX `users_email_key_key`;
-- reverse: create index "users_username_key_key" to table: "users"
DROP INDEX `users_username_key_key`;
-- reverse: create "users" table
DROP TABLE `users`;
-- reverse: create index "usagerecord_to" to table: "usage_records"
DROP INDEX `usagerecord_to`;
-- reverse: create index "usagerecord_owner_id_to" to table: "usage_records"
DROP INDEX `usagerecord_owner_id_to`;
-- reverse: create "usage_records" table
DROP TABLE `usage_records`;
-- reverse: create index "session_expires_at" to table: "sessions"
DROP INDEX `session_expires_at`;
-- reverse: create index "session_user_id_created_at_id" to table: "sessions"
DROP INDEX `session_user_id_created_at_id`;
-- reverse: create index "sessions_token_hash_key" to table: "sessions"
DROP INDEX `sessions_token_hash_key`;
-- reverse: create "sessions" table
DROP TABLE `sessions`;
-- reverse: create index "quota_user_id_key" to table: "quota"
DROP INDEX `quota_user_id_key`;
-- reverse: create "quota" table
DROP TABLE `quota`;
-- reverse: create index "image_reference_id" to table: "images"
DROP INDEX `image_reference_id`;
-- reverse: create index "image_visibility_created_at_id" to table: "images"
DROP INDEX `image_visibility_created_at_id`;
-- reverse: create index "image_owner_id_status_created_at_id" to table: "images"
DROP INDEX `image_owner_id_status_created_at_id`;
-- reverse: create index "image_owner_id_created_at_id" to table: "images"
DROP INDEX `image_owner_id_created_at_id`;
-- reverse: create index "image_status_created_at_id" to table: "images"
DROP INDEX `image_status_created_at_id`;
-- reverse: create index "image_created_at_id" to table: "images"
DROP INDEX `image_created_at_id`;
-- reverse: create "images" table
DROP TABLE `images`;
-- reverse: create index "hosts_name_key" to table: "hosts"
DROP INDEX `hosts_name_key`;
-- reverse: create "hosts" table
DROP TABLE `hosts`;
-- reverse: create index "containerevent_container_id_at_id" to table: "container_events"
DROP INDEX `containerevent_container_id_at_id`;
-- reverse: create "container_events" table
DROP TABLE `container_events`;
-- reverse: create index "container_image_id" to table: "containers"
DROP INDEX `container_image_id`;
-- reverse: create index "container_owner_id_status_created_at_id" to table: "containers"
DROP INDEX `container_owner_id_status_created_at_id`;
-- reverse: create index "container_owner_id_created_at_id" to table: "containers"
DROP INDEX `container_owner_id_created_at_id`;
-- reverse: create index "container_status_id" to table: "containers"
DROP INDEX `container_status_id`;
-- reverse: create index "container_status_created_at_id" to table: "containers"
DROP INDEX `container_status_created_at_id`;
-- reverse: create index "container_name_id" to table: "containers"
DROP INDEX `container_name_id`;
-- reverse: create index "container_created_at_id" to table: "containers"
DROP INDEX `container_created_at_id`;
-- reverse: create index "container_owner_id_idempotency_key" to table: "containers"
DROP INDEX `container_owner_id_idempotency_key`;
-- reverse: create index "container_owner_id_name" to table: "containers"
DROP INDEX `container_owner_id_name`;
-- reverse: create "containers" table
DROP TABLE `containers`;
-- reverse: create index "auditevent_target_at_id" to table: "audit_events"
DROP INDEX `auditevent_target_at_id`;
-- reverse: create index "auditevent_actor_id_at_id" to table: "audit_events"
DROP INDEX `auditevent_actor_id_at_id`;
-- reverse: create index "auditevent_at_id" to table: "audit_events"
DROP INDEX `auditevent_at_id`;
-- reverse: create "audit_events" table
DROP TABLE `audit_events`;
