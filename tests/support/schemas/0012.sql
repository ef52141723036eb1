BEGIN TRANSACTION;
CREATE TABLE account (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR(64) NOT NULL, 
	name_key VARCHAR(255) NOT NULL, 
	skeleton VARCHAR(255) NOT NULL, 
	password_hash VARCHAR(255) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	quota BIGINT, 
	used BIGINT NOT NULL, 
	totp_secret VARCHAR(64), 
	totp_step BIGINT, 
	created_at DATETIME NOT NULL, language VARCHAR(35), 
	CONSTRAINT uq_account_name_key UNIQUE (name_key), 
	CONSTRAINT uq_account_skeleton UNIQUE (skeleton)
);
INSERT INTO "account" VALUES(1,'alice','alice','alice','$argon2id$v=19$m=8,t=1,p=1$vkQeCQrYHaSgq427g12G2w$52RNc+uU616vj0p6rSK1h8i/IuKAwSd7YbxBJ7Vap3U','MEMBER',1,NULL,36,NULL,NULL,'2026-01-01 03:04:05.000000',NULL);
INSERT INTO "account" VALUES(2,'bob','bob','bob','$argon2id$v=19$m=8,t=1,p=1$iX0DcQpMbv9Ubi1Zf1AyzQ$h5luT5d6BD3XnbSj0HsLN/b/qnmut7Id8Yj+1563l0w','MEMBER',0,20971520,0,NULL,NULL,'2026-01-01 03:04:05.000000','de');
INSERT INTO "account" VALUES(3,'admin','admin','adrnin','$argon2id$v=19$m=8,t=1,p=1$ApIty0YtB0MnCHVyO2CiVw$/OdBiDf4AskOtHP0qDFwJJSIUGb7uiKc6H9+HVj0MvM','ADMINISTRATOR',1,NULL,0,'JBSWY3DPEHPK3PXP',59,'2026-01-01 03:04:05.000000',NULL);
CREATE TABLE activity (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	owner_id INTEGER, 
	entry VARCHAR(64), 
	name VARCHAR(255) NOT NULL, 
	detail VARCHAR(255) NOT NULL, 
	handoff VARCHAR(16), linked_entry VARCHAR(64), actor_key VARCHAR(1024) DEFAULT '' NOT NULL, name_key VARCHAR(1024) DEFAULT '' NOT NULL, link_name VARCHAR(80) DEFAULT '' NOT NULL, link VARCHAR(64), 
	CONSTRAINT pk_activity PRIMARY KEY (id), 
	CONSTRAINT uq_activity_handoff UNIQUE (handoff)
);
INSERT INTO "activity" VALUES(1,'2026-01-07 03:04:05.000000','download','','192.0.2.7',1,'file-05','Kept.txt','by a share link','handoff-1','folder-04','','kept.txt','Printers','share-11');
INSERT INTO "activity" VALUES(2,'2026-01-08 03:04:05.000000','upload','gone','2001:db8::1',4,'file-99','Größer 日本.txt','',NULL,NULL,'gone','grosser 日本.txt','',NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0012');
CREATE TABLE arrival (
	id INTEGER NOT NULL, 
	sender_id INTEGER NOT NULL, 
	entry VARCHAR(64) NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_arrival PRIMARY KEY (id), 
	CONSTRAINT fk_arrival_sender_id_sender FOREIGN KEY(sender_id) REFERENCES sender (id) ON DELETE CASCADE
);
INSERT INTO "arrival" VALUES(1,1,'entry-5','Trip/Grosser 日本.txt',7,'5f14f9e6d80f802a65269804f2552ef9889f2c7ccec5067214e58a1e48e0b3ff','2026-01-07 03:04:05.000000');
CREATE TABLE cancelled_upload (
	digest VARCHAR(64) NOT NULL, 
	cancelled_at DATETIME NOT NULL, 
	CONSTRAINT pk_cancelled_upload PRIMARY KEY (digest)
);
INSERT INTO "cancelled_upload" VALUES('0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef','2026-01-06 03:04:05.000000');
CREATE TABLE entry (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	public_id VARCHAR(64) NOT NULL, 
	owner_id INTEGER NOT NULL, 
	parent_id INTEGER, 
	is_file BOOLEAN NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	name_key VARCHAR(1024) NOT NULL, 
	size BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	trash_id INTEGER, 
	trashed_at DATETIME, 
	mimetype VARCHAR(255), 
	sha256 VARCHAR(64), 
	storage_key VARCHAR(64), search_key VARCHAR(1024) DEFAULT '' NOT NULL, sort_key VARCHAR(1024) DEFAULT '' NOT NULL, version_of INTEGER CONSTRAINT fk_entry_version_of_entry REFERENCES entry (id) ON DELETE SET NULL CONSTRAINT ck_entry_version_of CHECK (version_of IS NULL OR (is_file AND trash_id IS NOT NULL)), 
	CONSTRAINT uq_entry_public_id UNIQUE (public_id), 
	CONSTRAINT fk_entry_owner_id_account FOREIGN KEY(owner_id) REFERENCES account (id), 
	CONSTRAINT fk_entry_parent_id_entry FOREIGN KEY(parent_id) REFERENCES entry (id), 
	CONSTRAINT fk_entry_trash_id_entry FOREIGN KEY(trash_id) REFERENCES entry (id), 
	CONSTRAINT uq_entry_storage_key UNIQUE (storage_key)
);
INSERT INTO "entry" VALUES(1,'root-01',1,NULL,0,'','',0,'2026-01-01 03:04:05.000000',NULL,NULL,NULL,NULL,NULL,'','	',NULL);
INSERT INTO "entry" VALUES(2,'root-02',2,NULL,0,'','',0,'2026-01-01 03:04:05.000000',NULL,NULL,NULL,NULL,NULL,'','	',NULL);
INSERT INTO "entry" VALUES(3,'root-03',3,NULL,0,'','',0,'2026-01-01 03:04:05.000000',NULL,NULL,NULL,NULL,NULL,'','	',NULL);
INSERT INTO "entry" VALUES(4,'folder-04',1,1,0,'Projects','projects',0,'2026-01-02 03:04:05.000000',NULL,NULL,NULL,NULL,NULL,'projects','projects	projects',NULL);
INSERT INTO "entry" VALUES(5,'file-05',1,1,1,'Kept.txt','kept.txt',29,'2026-01-03 03:04:05.000000',NULL,NULL,'text/plain','ae05e94f119cccd28d02e065ba27eee18c1a5b0b4e24f29a436114890a6367cb','0123456789abcdef0123456789abcdef','kept.txt','kept.txt	kept.txt',NULL);
INSERT INTO "entry" VALUES(6,'file-06',1,1,1,'Old.txt','old.txt',7,'2026-01-03 03:04:05.000000',6,'2026-01-20 03:04:05.000000','text/plain','ce2b25de08e05059b99f1054253763b0be04002186536083780967e908354a61','fedcba9876543210fedcba9876543210','old.txt','old.txt	old.txt',5);
CREATE TABLE fact (
	name VARCHAR(64) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	CONSTRAINT pk_fact PRIMARY KEY (name)
);
INSERT INTO "fact" VALUES('oldest code','0006');
CREATE TABLE file_request (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	owner_id INTEGER NOT NULL, 
	public_id VARCHAR(64) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	note VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	folder_id INTEGER NOT NULL, 
	file_limit INTEGER, 
	size_limit BIGINT, 
	files INTEGER NOT NULL, 
	size BIGINT NOT NULL, name VARCHAR(80) DEFAULT '' NOT NULL, asks_name BOOLEAN DEFAULT 0 NOT NULL, asks_message BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT fk_file_request_owner_id_account FOREIGN KEY(owner_id) REFERENCES account (id) ON DELETE CASCADE, 
	CONSTRAINT uq_file_request_public_id UNIQUE (public_id), 
	CONSTRAINT uq_file_request_token_hash UNIQUE (token_hash), 
	CONSTRAINT fk_file_request_folder_id_entry FOREIGN KEY(folder_id) REFERENCES entry (id) ON DELETE CASCADE
);
INSERT INTO "file_request" VALUES(1,1,'request-12','1f58b9145b24d108d7ac38887338b3ea3229833b9c1e418250343f907bfd1047','Photos','2026-01-06 03:04:05.000000',NULL,'2026-01-08 03:04:05.000000',4,5,1000000000,2,7,'Family',1,1);
CREATE TABLE log_position (
	log TEXT NOT NULL, 
	position JSON NOT NULL, 
	CONSTRAINT pk_log_position PRIMARY KEY (log)
);
INSERT INTO "log_position" VALUES('/var/log/portal/nginx.log','{"0123456789abcdef": 116}');
CREATE TABLE one_time_link (
	id INTEGER NOT NULL, 
	public_id VARCHAR(64) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	account_id INTEGER, 
	role VARCHAR(16) NOT NULL, 
	quota BIGINT, 
	note VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, proposed_name VARCHAR(64) DEFAULT '' NOT NULL, 
	CONSTRAINT pk_one_time_link PRIMARY KEY (id), 
	CONSTRAINT uq_one_time_link_public_id UNIQUE (public_id), 
	CONSTRAINT uq_one_time_link_token_hash UNIQUE (token_hash), 
	CONSTRAINT fk_one_time_link_account_id_account FOREIGN KEY(account_id) REFERENCES account (id)
);
INSERT INTO "one_time_link" VALUES(1,'invitation-08','a3013c082c75edc913598c3baac1afa18f7633fe8f014896ab2f1a72ff83d8ba',NULL,'MEMBER',1073741824,'Carol','2026-01-04 03:04:05.000000','2026-01-11 03:04:05.000000','carol');
INSERT INTO "one_time_link" VALUES(2,'reset-09','01be30bb4a27765c37462e6bf2a0bf8b6c109f9be9d81e6fd56455db1a736a43',2,'MEMBER',NULL,'','2026-01-04 03:04:05.000000','2026-01-05 03:04:05.000000','');
CREATE TABLE receipt (
	handoff VARCHAR(16) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	status INTEGER NOT NULL, 
	sent BIGINT NOT NULL, 
	start BIGINT NOT NULL, 
	total BIGINT, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_receipt PRIMARY KEY (handoff)
);
INSERT INTO "receipt" VALUES('handoff-1','completed',200,29,0,29,'2026-01-07 03:04:05.000000');
CREATE TABLE recovery_code (
	id INTEGER NOT NULL, 
	account_id INTEGER NOT NULL, 
	code_hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_recovery_code PRIMARY KEY (id), 
	CONSTRAINT fk_recovery_code_account_id_account FOREIGN KEY(account_id) REFERENCES account (id)
);
INSERT INTO "recovery_code" VALUES(1,3,'5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b');
CREATE TABLE seen_day (
	day DATE NOT NULL, 
	CONSTRAINT pk_seen_day PRIMARY KEY (day)
);
INSERT INTO "seen_day" VALUES('2026-01-07');
INSERT INTO "seen_day" VALUES('2026-01-08');
CREATE TABLE sender (
	id INTEGER NOT NULL, 
	request_id INTEGER NOT NULL, 
	visitor VARCHAR(64) NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	message VARCHAR(2000) NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_sender PRIMARY KEY (id), 
	CONSTRAINT fk_sender_request_id_file_request FOREIGN KEY(request_id) REFERENCES file_request (id) ON DELETE CASCADE
);
INSERT INTO "sender" VALUES(1,1,'5f14f9e6d80f802a65269804f2552ef9889f2c7ccec5067214e58a1e48e0b3ff','Jane Doe','Two photos.','2026-01-07 03:04:05.000000');
CREATE TABLE share (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	owner_id INTEGER NOT NULL, 
	public_id VARCHAR(64) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	note VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	entry_id INTEGER NOT NULL, 
	password_hash VARCHAR(255), 
	download_limit INTEGER, 
	downloads INTEGER NOT NULL, name VARCHAR(80) DEFAULT '' NOT NULL, 
	CONSTRAINT fk_share_owner_id_account FOREIGN KEY(owner_id) REFERENCES account (id) ON DELETE CASCADE, 
	CONSTRAINT uq_share_public_id UNIQUE (public_id), 
	CONSTRAINT uq_share_token_hash UNIQUE (token_hash), 
	CONSTRAINT fk_share_entry_id_entry FOREIGN KEY(entry_id) REFERENCES entry (id) ON DELETE CASCADE
);
INSERT INTO "share" VALUES(1,1,'share-11','c3bc45ac352fe43ff8f0a1cc26d6cc29f71f536dc417906f8513ea44ed4bb161','For the printers','2026-01-06 03:04:05.000000','2026-01-30 03:04:05.000000',NULL,5,'$argon2id$v=19$m=8,t=1,p=1$aYgO7qXlO4hiOenGsnBSKQ$2Bb4eLvO6KLaCB/qSvFR3KS0ACXIVf3nqAw7CxRfyg4',3,1,'Printers');
CREATE TABLE share_download (
	id INTEGER NOT NULL, 
	share_id INTEGER NOT NULL, 
	entry_id INTEGER NOT NULL, 
	visitor VARCHAR(64) NOT NULL, 
	counted_at DATETIME NOT NULL, 
	CONSTRAINT pk_share_download PRIMARY KEY (id), 
	CONSTRAINT uq_share_download_share_id_entry_id_visitor UNIQUE (share_id, entry_id, visitor), 
	CONSTRAINT fk_share_download_share_id_share FOREIGN KEY(share_id) REFERENCES share (id) ON DELETE CASCADE, 
	CONSTRAINT fk_share_download_entry_id_entry FOREIGN KEY(entry_id) REFERENCES entry (id) ON DELETE CASCADE
);
INSERT INTO "share_download" VALUES(1,1,5,'5f14f9e6d80f802a65269804f2552ef9889f2c7ccec5067214e58a1e48e0b3ff','2026-01-07 03:04:05.000000');
CREATE TABLE sign_in (
	id INTEGER NOT NULL, 
	public_id VARCHAR(64) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	account_id INTEGER NOT NULL, 
	user_agent VARCHAR(255) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	used_at DATETIME NOT NULL, 
	CONSTRAINT pk_sign_in PRIMARY KEY (id), 
	CONSTRAINT uq_sign_in_public_id UNIQUE (public_id), 
	CONSTRAINT uq_sign_in_key_hash UNIQUE (key_hash), 
	CONSTRAINT fk_sign_in_account_id_account FOREIGN KEY(account_id) REFERENCES account (id)
);
INSERT INTO "sign_in" VALUES(1,'session-07','3f3af1ecebbd1410ab417ec0d27bbfcb5d340e177ae159b59fc8626c2dfd9175',1,'Firefox','192.0.2.1','2026-01-04 03:04:05.000000','2026-01-05 03:04:05.000000');
CREATE TABLE thumbnail (
	id INTEGER NOT NULL, 
	content_key VARCHAR(64) NOT NULL, 
	own_key VARCHAR(64), 
	size BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_thumbnail PRIMARY KEY (id), 
	CONSTRAINT uq_thumbnail_content_key UNIQUE (content_key), 
	CONSTRAINT uq_thumbnail_own_key UNIQUE (own_key)
);
INSERT INTO "thumbnail" VALUES(1,'0123456789abcdef0123456789abcdef',NULL,0,'2026-03-01 12:00:00.000000');
CREATE TABLE upload (
	id INTEGER NOT NULL, 
	public_id VARCHAR(64) NOT NULL, 
	owner_id INTEGER NOT NULL, 
	folder_id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	size BIGINT NOT NULL, 
	client_metadata TEXT NOT NULL, 
	part_key VARCHAR(64) NOT NULL, 
	used_at DATETIME NOT NULL, 
	finished_at DATETIME, arrived BIGINT DEFAULT '0' NOT NULL, request_id INTEGER, visitor VARCHAR(64), recorded BIGINT CONSTRAINT ck_upload_recorded CHECK (recorded IS NULL OR (recorded = arrived AND finished_at IS NULL)), 
	CONSTRAINT pk_upload PRIMARY KEY (id), 
	CONSTRAINT uq_upload_public_id UNIQUE (public_id), 
	CONSTRAINT fk_upload_owner_id_account FOREIGN KEY(owner_id) REFERENCES account (id) ON DELETE CASCADE, 
	CONSTRAINT fk_upload_folder_id_entry FOREIGN KEY(folder_id) REFERENCES entry (id) ON DELETE CASCADE, 
	CONSTRAINT uq_upload_part_key UNIQUE (part_key)
);
INSERT INTO "upload" VALUES(1,'upload-10',1,4,'Film.mp4',1000000000000,'filename RmlsbS5tcDQ=','00112233445566778899aabbccddeeff','2026-01-06 03:04:05.000000',NULL,1000000000000,NULL,NULL,NULL);
INSERT INTO "upload" VALUES(2,'upload-11',1,4,'Photo.jpg',1000,'filename UGhvdG8uanBn','ffeeddccbbaa99887766554433221100','2026-01-06 03:04:05.000000',NULL,10,1,'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',10);
CREATE TABLE upload_piece (
	upload_id INTEGER NOT NULL, 
	start BIGINT NOT NULL, 
	size BIGINT NOT NULL, 
	nonce VARCHAR(16) NOT NULL, 
	CONSTRAINT pk_upload_piece PRIMARY KEY (upload_id, start), 
	CONSTRAINT fk_upload_piece_upload_id_upload FOREIGN KEY(upload_id) REFERENCES upload (id) ON DELETE CASCADE
);
INSERT INTO "upload_piece" VALUES(2,0,10,'0123456789abcdef');
CREATE INDEX ix_sign_in_account_id ON sign_in (account_id);
CREATE INDEX ix_one_time_link_account_id ON one_time_link (account_id);
CREATE INDEX ix_recovery_code_account_id ON recovery_code (account_id);
CREATE UNIQUE INDEX uq_entry_parent_id_name_key ON entry (parent_id, name_key) WHERE trash_id IS NULL;
CREATE UNIQUE INDEX uq_entry_owner_id_root ON entry (owner_id) WHERE parent_id IS NULL;
CREATE INDEX ix_entry_by_size ON entry (parent_id, is_file, size, id) WHERE trash_id IS NULL;
CREATE INDEX ix_entry_by_time ON entry (parent_id, is_file, created_at, id) WHERE trash_id IS NULL;
CREATE INDEX ix_entry_owner_id_trash_id ON entry (owner_id, trash_id);
CREATE INDEX ix_entry_trash_id ON entry (trash_id, trashed_at);
CREATE INDEX ix_upload_owner_id ON upload (owner_id);
CREATE INDEX ix_upload_used_at ON upload (used_at);
CREATE INDEX ix_upload_folder_id ON upload (folder_id);
CREATE INDEX ix_share_entry_id ON share (entry_id);
CREATE INDEX ix_share_owner_id ON share (owner_id);
CREATE INDEX ix_share_download_entry_id ON share_download (entry_id);
CREATE INDEX ix_file_request_owner_id ON file_request (owner_id);
CREATE INDEX ix_file_request_folder_id ON file_request (folder_id);
CREATE INDEX ix_activity_at ON activity (at);
CREATE INDEX ix_activity_owner_id ON activity (owner_id, id);
CREATE INDEX ix_activity_entry ON activity (entry, id);
CREATE INDEX ix_activity_linked_entry ON activity (linked_entry, id);
CREATE TRIGGER activity_is_only_added_to BEFORE UPDATE ON activity BEGIN SELECT raise(ABORT, 'activity is only added to'); END;
CREATE INDEX ix_entry_by_name ON entry (parent_id, is_file, sort_key, id) WHERE trash_id IS NULL;
CREATE INDEX ix_entry_parent_id ON entry (parent_id);
CREATE INDEX ix_upload_unfinished ON upload (owner_id, used_at) WHERE finished_at IS NULL;
CREATE INDEX ix_upload_request_id ON upload (request_id);
CREATE INDEX ix_activity_link ON activity (link, id);
CREATE INDEX ix_sender_visitor ON sender (request_id, visitor, id);
CREATE INDEX ix_arrival_sender_id ON arrival (sender_id);
CREATE INDEX ix_arrival_at ON arrival (at);
CREATE INDEX ix_entry_version_of ON entry (version_of) WHERE version_of IS NOT NULL;
CREATE INDEX ix_entry_versions ON entry (owner_id, version_of) WHERE version_of IS NOT NULL;
CREATE INDEX ix_entry_trash ON entry (owner_id, trashed_at, id) WHERE trash_id = id AND version_of IS NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('account',4);
INSERT INTO "sqlite_sequence" VALUES('entry',6);
INSERT INTO "sqlite_sequence" VALUES('share',1);
INSERT INTO "sqlite_sequence" VALUES('file_request',1);
COMMIT;
