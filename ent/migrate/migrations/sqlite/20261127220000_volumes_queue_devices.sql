-- +goose Up
-- By hand: the generator copies whole tables to add columns, and inside a
-- transaction, where foreign keys stay on, the children of a copied table go
-- with it.
ALTER TABLE `containers` ADD COLUMN `queued` bool NOT NULL DEFAULT (false);
ALTER TABLE `containers` ADD COLUMN `queued_at` datetime NULL;
ALTER TABLE `containers` ADD COLUMN `queue_position` integer NULL;
ALTER TABLE `containers` ADD COLUMN `gpu_devices` json NULL;
ALTER TABLE `containers` ADD COLUMN `frozen` text NOT NULL DEFAULT ('NO');
ALTER TABLE `containers` ADD COLUMN `oom_told` bool NOT NULL DEFAULT (false);
ALTER TABLE `containers` ADD COLUMN `idle_timeout` integer NULL;
ALTER TABLE `containers` ADD COLUMN `idle_since` datetime NULL;
ALTER TABLE `containers` ADD COLUMN `cull_at` datetime NULL;
ALTER TABLE `containers` ADD COLUMN `last_activity_at` datetime NULL;
ALTER TABLE `containers` ADD COLUMN `activity` json NULL;
ALTER TABLE `containers` ADD COLUMN `disk_used` integer NULL;
CREATE INDEX `container_queued` ON `containers` (`queued`);
ALTER TABLE `quota` ADD COLUMN `used_volumes` integer NOT NULL DEFAULT (0);
CREATE TABLE `devices` (`id` text NOT NULL, `device` text NOT NULL, `name` text NOT NULL, `present` bool NOT NULL DEFAULT (true), `container_id` text NULL, PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `devices_device_key` ON `devices` (`device`);
CREATE TABLE `mounts` (`id` text NOT NULL, `path` text NOT NULL, `read_only` bool NOT NULL DEFAULT (false), `container_id` text NOT NULL, `volume_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `mounts_containers_mounts` FOREIGN KEY (`container_id`) REFERENCES `containers` (`id`) ON DELETE CASCADE, CONSTRAINT `mounts_volumes_mounts` FOREIGN KEY (`volume_id`) REFERENCES `volumes` (`id`) ON DELETE NO ACTION);
CREATE UNIQUE INDEX `mount_container_id_path` ON `mounts` (`container_id`, `path`);
CREATE INDEX `mount_volume_id` ON `mounts` (`volume_id`);
CREATE TABLE `volumes` (`id` text NOT NULL, `name` text NOT NULL, `name_key` text NULL, `visibility` text NOT NULL DEFAULT ('PRIVATE'), `size` integer NULL, `measured_at` datetime NULL, `deleted_at` datetime NULL, `purging` bool NOT NULL DEFAULT (false), `created_at` datetime NOT NULL, `owner_id` text NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `volumes_users_volumes` FOREIGN KEY (`owner_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION);
CREATE UNIQUE INDEX `volume_owner_id_name_key` ON `volumes` (`owner_id`, `name_key`);
CREATE INDEX `volume_created_at_id` ON `volumes` (`created_at`, `id`);
CREATE INDEX `volume_owner_id_created_at_id` ON `volumes` (`owner_id`, `created_at`, `id`);
CREATE INDEX `volume_deleted_at` ON `volumes` (`deleted_at`);

-- +goose Down
DROP TABLE `mounts`;
DROP TABLE `volumes`;
DROP TABLE `devices`;
ALTER TABLE `quota` DROP COLUMN `used_volumes`;
DROP INDEX `container_queued`;
ALTER TABLE `containers` DROP COLUMN `disk_used`;
ALTER TABLE `containers` DROP COLUMN `activity`;
ALTER TABLE `containers` DROP COLUMN `last_activity_at`;
ALTER TABLE `containers` DROP COLUMN `cull_at`;
ALTER TABLE `containers` DROP COLUMN `idle_since`;
ALTER TABLE `containers` DROP COLUMN `idle_timeout`;
ALTER TABLE `containers` DROP COLUMN `oom_told`;
ALTER TABLE `containers` DROP COLUMN `frozen`;
ALTER TABLE `containers` DROP COLUMN `gpu_devices`;
ALTER TABLE `containers` DROP COLUMN `queue_position`;
ALTER TABLE `containers` DROP COLUMN `queued_at`;
ALTER TABLE `containers` DROP COLUMN `queued`;
