-- +goose Up
ALTER TABLE `images` ADD COLUMN `update_available` bool NOT NULL DEFAULT (false);
ALTER TABLE `images` ADD COLUMN `base_reference` text NULL;
ALTER TABLE `images` ADD COLUMN `base_digest` text NULL;
ALTER TABLE `images` ADD COLUMN `checked_at` datetime NULL;
ALTER TABLE `images` ADD COLUMN `dockerfile` text NULL;
ALTER TABLE `images` ADD COLUMN `form` json NULL;
ALTER TABLE `images` ADD COLUMN `layers` json NULL;
ALTER TABLE `images` ADD COLUMN `committed_from_id` text NULL;
ALTER TABLE `images` ADD COLUMN `last_used_at` datetime NULL;
ALTER TABLE `containers` ADD COLUMN `ports` json NULL;
CREATE TABLE `image_lines` (`id` text NOT NULL, `number` integer NOT NULL, `text` text NOT NULL, `at` datetime NOT NULL, `image_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `image_lines_images_lines` FOREIGN KEY (`image_id`) REFERENCES `images` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `imageline_image_id_number` ON `image_lines` (`image_id`, `number`);
CREATE TABLE `image_shares` (`id` text NOT NULL, `created_at` datetime NOT NULL, `image_id` text NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `image_shares_images_shares` FOREIGN KEY (`image_id`) REFERENCES `images` (`id`) ON DELETE CASCADE, CONSTRAINT `image_shares_users_image_shares` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `imageshare_image_id_user_id` ON `image_shares` (`image_id`, `user_id`);
CREATE INDEX `imageshare_user_id` ON `image_shares` (`user_id`);
CREATE TABLE `stats_chunks` (`id` text NOT NULL, `step` integer NOT NULL, `from` datetime NOT NULL, `to` datetime NOT NULL, `data` blob NOT NULL, `container_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `stats_chunks_containers_stats_chunks` FOREIGN KEY (`container_id`) REFERENCES `containers` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `statschunk_container_id_step_from` ON `stats_chunks` (`container_id`, `step`, `from`);
CREATE INDEX `statschunk_step_to` ON `stats_chunks` (`step`, `to`);
CREATE TABLE `terminals` (`id` text NOT NULL, `name` text NOT NULL, `command` text NOT NULL DEFAULT (''), `engine_id` text NOT NULL DEFAULT (''), `opened_at` datetime NOT NULL, `container_id` text NOT NULL, `user_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `terminals_containers_terminals` FOREIGN KEY (`container_id`) REFERENCES `containers` (`id`) ON DELETE CASCADE, CONSTRAINT `terminals_users_terminals` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
CREATE UNIQUE INDEX `terminal_container_id_name` ON `terminals` (`container_id`, `name`);
CREATE INDEX `terminal_user_id` ON `terminals` (`user_id`);

-- +goose Down
DROP TABLE `terminals`;
DROP TABLE `stats_chunks`;
DROP TABLE `image_shares`;
DROP TABLE `image_lines`;
ALTER TABLE `containers` DROP COLUMN `ports`;
ALTER TABLE `images` DROP COLUMN `last_used_at`;
ALTER TABLE `images` DROP COLUMN `committed_from_id`;
ALTER TABLE `images` DROP COLUMN `layers`;
ALTER TABLE `images` DROP COLUMN `form`;
ALTER TABLE `images` DROP COLUMN `dockerfile`;
ALTER TABLE `images` DROP COLUMN `checked_at`;
ALTER TABLE `images` DROP COLUMN `base_digest`;
ALTER TABLE `images` DROP COLUMN `base_reference`;
ALTER TABLE `images` DROP COLUMN `update_available`;
