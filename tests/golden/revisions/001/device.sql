BEGIN TRANSACTION;
CREATE TABLE outpost_state ( one INTEGER PRIMARY KEY CHECK (one = 1), applying INTEGER NOT NULL DEFAULT 0, schema_revision INTEGER NOT NULL DEFAULT 0, schema_checked TEXT NOT NULL DEFAULT '', device_id BLOB NOT NULL DEFAULT x'', facility_id BLOB NOT NULL DEFAULT x'', enrolment_region_id BLOB NOT NULL DEFAULT x'', family_region_id BLOB NOT NULL DEFAULT x'', server TEXT NOT NULL DEFAULT '', admin INTEGER NOT NULL DEFAULT 0, accepts_zstd INTEGER NOT NULL DEFAULT 0, push_batch INTEGER NOT NULL DEFAULT 0, batch_bytes INTEGER NOT NULL DEFAULT 0, sync_interval_s INTEGER NOT NULL DEFAULT 0, pause INTEGER NOT NULL DEFAULT 0, compression INTEGER NOT NULL DEFAULT 0, minimum_revision INTEGER NOT NULL DEFAULT 0, recommended_revision INTEGER NOT NULL DEFAULT 0, link_bytes INTEGER NOT NULL DEFAULT 0, cursor BLOB NOT NULL DEFAULT x'', receipt BLOB NOT NULL DEFAULT x'', token BLOB NOT NULL DEFAULT x'', offer_due INTEGER NOT NULL DEFAULT 0, caught_up INTEGER NOT NULL DEFAULT 0, check_at_ms INTEGER NOT NULL DEFAULT 0, global_records INTEGER NOT NULL DEFAULT 0, global_digest INTEGER NOT NULL DEFAULT 0, family_records INTEGER NOT NULL DEFAULT 0, family_digest INTEGER NOT NULL DEFAULT 0);
INSERT INTO outpost_state VALUES(1,0,1,'5e7c7bf2818bc573 at 56',X'70b80fd5802341b7840bbabf148a6ec7',X'c9ec0422de36447c8c294bb40d50726f',X'9fe4675392d74a4680a7a69bc376ee5d',X'9fe4675392d74a4680a7a69bc376ee5d','',0,1,500,1048576,900,0,2,0,0,0,X'0a2c0a1000000000000000000000000000000000121800000000000000029d6eb00c3ac4eea153951fa437edc36b0a2c0a109fe4675392d74a4680a7a69bc376ee5d1218000000000000001312dce7d19caf5622b68d2bb7d142d2ed',X'06f1fb326df98f3b13bf07ea78256cf9',X'000000000000000265977b790b26cc67',0,1,1795431866888,2,4168110371951802098,18,3293388752549585902);
CREATE TABLE outpost_pending ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
INSERT INTO outpost_pending VALUES(10,X'07352f8439ca4a71b3dbeaaaf78422fb',X'07352f8439ca4a71b3dbeaaaf78422fb',1);
INSERT INTO outpost_pending VALUES(10,X'23880f2dc5a24508bfdadf6b03cc70f8',X'23880f2dc5a24508bfdadf6b03cc70f8',2);
INSERT INTO outpost_pending VALUES(10,X'5c173839ce184d51928ddf8bcd517aaa',X'5c173839ce184d51928ddf8bcd517aaa',1);
INSERT INTO outpost_pending VALUES(13,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'1cd7549b60ee46df910a67a7651f15bd',1);
CREATE TABLE outpost_held ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, deleted INTEGER NOT NULL, stamp INTEGER NOT NULL, body BLOB, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
CREATE TABLE outpost_outbox ( n INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, rank INTEGER NOT NULL, mutation BLOB NOT NULL, mutation_id BLOB NOT NULL, deletes INTEGER NOT NULL, sealed_body BLOB NOT NULL, generation INTEGER NOT NULL, UNIQUE (type, family_id, id));
INSERT INTO outpost_outbox VALUES(13,10,X'07352f8439ca4a71b3dbeaaaf78422fb',X'07352f8439ca4a71b3dbeaaaf78422fb',1000,X'0a1007352f8439ca4a71b3dbeaaaf78422fb121007352f8439ca4a71b3dbeaaaf78422fb3205010304050f52240a04446f72611a0a313939302d30322d30337a10c9ec0422de36447c8c294bb40d50726f',X'317f93a24ee58b49c31306eedd22a770',0,X'0a04446f72611a0a313939302d30322d30337a10c9ec0422de36447c8c294bb40d50726f',1);
INSERT INTO outpost_outbox VALUES(14,10,X'23880f2dc5a24508bfdadf6b03cc70f8',X'23880f2dc5a24508bfdadf6b03cc70f8',1000,X'0a1023880f2dc5a24508bfdadf6b03cc70f8121023880f2dc5a24508bfdadf6b03cc70f8180129a87e0df63b9915a832010952044a025a33',X'ffcd8a2d0634ebd89135e3ad1d9fc912',0,X'0a044173686120322880d095ffbc314a025a337a10c9ec0422de36447c8c294bb40d50726f',1);
INSERT INTO outpost_outbox VALUES(15,10,X'5c173839ce184d51928ddf8bcd517aaa',X'5c173839ce184d51928ddf8bcd517aaa',1000,X'0a105c173839ce184d51928ddf8bcd517aaa12105c173839ce184d51928ddf8bcd517aaa180129058a599da9e6bef832010952044a025a38',X'2e2774a4fc2fc1e45b60378f5e770ec2',0,X'0a06436869747261200428014a025a387a10c9ec0422de36447c8c294bb40d50726f',1);
INSERT INTO outpost_outbox VALUES(16,13,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'1cd7549b60ee46df910a67a7651f15bd',8000,X'0a10c7cc45aa9fe9445b8b26ecb43f3a985e12101cd7549b60ee46df910a67a7651f15bd18012001291a7f97e05e751e0a6a00',X'7e7a8e68c0d0990b4969144a980ef7de',1,X'',1);
CREATE TABLE outpost_journal ( n INTEGER PRIMARY KEY, type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, mutation BLOB NOT NULL, mutation_id BLOB NOT NULL, answered_at_ms INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 0);
INSERT INTO outpost_journal VALUES(1,10,X'23880f2dc5a24508bfdadf6b03cc70f8',X'23880f2dc5a24508bfdadf6b03cc70f8',X'0a1023880f2dc5a24508bfdadf6b03cc70f8121023880f2dc5a24508bfdadf6b03cc70f8320601030405090f52250a044173686120322880d095ffbc314a025a317a10c9ec0422de36447c8c294bb40d50726f',X'0fc417e9d37813867b13fd2a1e4ea550',1795345466888,1);
INSERT INTO outpost_journal VALUES(2,10,X'5c173839ce184d51928ddf8bcd517aaa',X'5c173839ce184d51928ddf8bcd517aaa',X'0a105c173839ce184d51928ddf8bcd517aaa12105c173839ce184d51928ddf8bcd517aaa3205010304050f521e0a06436869747261200428017a10c9ec0422de36447c8c294bb40d50726f',X'5afca243c56ddcaa84e79021c6abb474',1795345466888,1);
INSERT INTO outpost_journal VALUES(3,10,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'0a10c7cc45aa9fe9445b8b26ecb43f3a985e1210c7cc45aa9fe9445b8b26ecb43f3a985e320601030405090f52250a0442696e61201f2880d095ffbc314a025a327a10c9ec0422de36447c8c294bb40d50726f',X'2505e115423ed06b23491956b326cc0c',1795345466888,1);
INSERT INTO outpost_journal VALUES(4,11,X'23880f2dc5a24508bfdadf6b03cc70f8',X'f4ffc872c2764891aec3587506b645c4',X'0a1023880f2dc5a24508bfdadf6b03cc70f81210f4ffc872c2764891aec3587506b645c4320201025a0b0a07303132333435361001',X'6b44eba1799cd69e96e6eb2fd8d48d35',1795345466888,1);
INSERT INTO outpost_journal VALUES(5,11,X'5c173839ce184d51928ddf8bcd517aaa',X'3806ddff52444f90ab939bdccdb643d8',X'0a105c173839ce184d51928ddf8bcd517aaa12103806ddff52444f90ab939bdccdb643d8320201025a0b0a07303132333435361001',X'7d77953211013ff4f6349cade21c1cbf',1795345466888,1);
INSERT INTO outpost_journal VALUES(6,11,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'8e8bf6af557a48079ac2b32bcdcff9ed',X'0a10c7cc45aa9fe9445b8b26ecb43f3a985e12108e8bf6af557a48079ac2b32bcdcff9ed320201025a0b0a07303132333435361001',X'1722c1e7b2ea4297a21bcb666ae2e49d',1795345466888,1);
INSERT INTO outpost_journal VALUES(7,12,X'23880f2dc5a24508bfdadf6b03cc70f8',X'0463ab64158d47879a7fbf80463cedbd',X'0a1023880f2dc5a24508bfdadf6b03cc70f812100463ab64158d47879a7fbf80463cedbd3202010262280a046361726412203233383830463244433541323435303842464441444636423033434337304638',X'2c3b5df6a358086a45bb04a0d3eb9075',1795345466888,1);
INSERT INTO outpost_journal VALUES(8,12,X'5c173839ce184d51928ddf8bcd517aaa',X'cd4e2d0e837a483384fabf345cd1051b',X'0a105c173839ce184d51928ddf8bcd517aaa1210cd4e2d0e837a483384fabf345cd1051b3202010262280a046361726412203543313733383339434531383444353139323844444638424344353137414141',X'128561de56f393ef01463c1ca198b99e',1795345466888,1);
INSERT INTO outpost_journal VALUES(9,12,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'6d55f1a9f9e445ef9b61449a7ac58c18',X'0a10c7cc45aa9fe9445b8b26ecb43f3a985e12106d55f1a9f9e445ef9b61449a7ac58c183202010262280a046361726412204337434334354141394645393434354238423236454342343346334139383545',X'2e59d77929fc0855d043bb7365aa6781',1795345466888,1);
INSERT INTO outpost_journal VALUES(10,13,X'23880f2dc5a24508bfdadf6b03cc70f8',X'5d7d7f5f4c3f41a6859c9bfc79d50a49',X'0a1023880f2dc5a24508bfdadf6b03cc70f812105d7d7f5f4c3f41a6859c9bfc79d50a493204010203046a1e08aa0110501880d095ffbc312210c9ec0422de36447c8c294bb40d50726f',X'0343230983200b80da9d86f9833ce77a',1795345466888,1);
INSERT INTO outpost_journal VALUES(11,13,X'5c173839ce184d51928ddf8bcd517aaa',X'2715edaecddf420f95826eac89c34dbf',X'0a105c173839ce184d51928ddf8bcd517aaa12102715edaecddf420f95826eac89c34dbf3204010203046a1d087c10501880d095ffbc312210c9ec0422de36447c8c294bb40d50726f',X'261c6f7204f87067deb8dde3c00c73d1',1795345466888,1);
INSERT INTO outpost_journal VALUES(12,13,X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'1cd7549b60ee46df910a67a7651f15bd',X'0a10c7cc45aa9fe9445b8b26ecb43f3a985e12101cd7549b60ee46df910a67a7651f15bd3204010203046a1e08970110501880d095ffbc312210c9ec0422de36447c8c294bb40d50726f',X'09f31ae23951bee93ea62875176e1c7b',1795345466888,1);
CREATE TABLE outpost_resend ( n INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, rank INTEGER NOT NULL, mutation BLOB NOT NULL, mutation_id BLOB NOT NULL UNIQUE, acknowledged_version INTEGER NOT NULL DEFAULT 0);
CREATE TABLE outpost_rejected ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, reason INTEGER NOT NULL, field INTEGER NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
CREATE TABLE outpost_warning ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, reason INTEGER NOT NULL, field INTEGER NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
CREATE TABLE outpost_left (family_id BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE outpost_aside ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, deleted INTEGER NOT NULL, body BLOB NOT NULL, since_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
CREATE TABLE outpost_region ( region_id BLOB NOT NULL PRIMARY KEY, seq INTEGER NOT NULL, records INTEGER NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO outpost_region VALUES(X'00000000000000000000000000000000',2,2,4168110371951802098);
INSERT INTO outpost_region VALUES(X'9fe4675392d74a4680a7a69bc376ee5d',19,18,3293388752549585902);
CREATE TABLE outpost_repair ( region_id BLOB NOT NULL PRIMARY KEY, state INTEGER NOT NULL, tries INTEGER NOT NULL, next_at_ms INTEGER NOT NULL, difference INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outpost_unconfirmed ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
CREATE TABLE outpost_unknown_record ( type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, deleted INTEGER NOT NULL, stamp INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;
INSERT INTO outpost_unknown_record VALUES(77,X'a6f8f1dfccb4487b94f612f3dd686d56',X'6d6fe6f178ca40d183163e52f900ba85',1,0,4709928337150915237,X'08781050');
CREATE TABLE outpost_withheld ( type INTEGER NOT NULL, field INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (type, field)) WITHOUT ROWID;
CREATE TABLE outpost_identity ( one INTEGER PRIMARY KEY CHECK (one = 1), key_pem TEXT NOT NULL, certificate_pem TEXT NOT NULL, ca_pem TEXT NOT NULL, tls_session BLOB NOT NULL, next_key_pem TEXT NOT NULL DEFAULT '');
CREATE TABLE patient(
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  full_name TEXT NOT NULL DEFAULT '',
  gender INTEGER NOT NULL DEFAULT 0,
  date_of_birth TEXT NOT NULL DEFAULT '',
  age_years INTEGER NOT NULL DEFAULT 0,
  age_recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  street_address TEXT NOT NULL DEFAULT '',
  village_or_colony TEXT NOT NULL DEFAULT '',
  zone TEXT NOT NULL DEFAULT '',
  district TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '',
  country TEXT NOT NULL DEFAULT '',
  pin_code TEXT NOT NULL DEFAULT '',
  reminder_consent INTEGER NOT NULL DEFAULT 0,
  registration_facility_id BLOB NOT NULL DEFAULT x'',
  assigned_facility_id BLOB NOT NULL DEFAULT x'',
  recorded_by_user_id BLOB NOT NULL DEFAULT x'',
  recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
INSERT INTO patient VALUES(X'07352f8439ca4a71b3dbeaaaf78422fb','Dora',0,'1990-02-03',0,0,0,'','','','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,0,0,X'');
INSERT INTO patient VALUES(X'23880f2dc5a24508bfdadf6b03cc70f8','Asha',0,'',50,1700000000000,0,'','Rampur','Z3','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-6334988818016534872,1,X'');
INSERT INTO patient VALUES(X'245e27261f2844ea8e78ad13d062e309','P2',0,'',50,1600000000000,0,'','','','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,6261681606972295397,1,X'');
INSERT INTO patient VALUES(X'5c173839ce184d51928ddf8bcd517aaa','Chitra',0,'',4,1,0,'','','Z8','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-522726890564646395,1,X'');
INSERT INTO patient VALUES(X'674d8782c17f40479566c1a873093a22','P3',0,'',50,1600000000000,0,'','','','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-5747805871494068968,1,X'');
INSERT INTO patient VALUES(X'a6f8f1dfccb4487b94f612f3dd686d56','P1',0,'',50,1600000000000,0,'','','','North','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,8090538327958197400,2,X'a206036e6577');
INSERT INTO patient VALUES(X'c7ad891fd8be4c55aa7b6bc15f5e7704','P0',0,'',50,1600000000000,0,'','','','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-1718520822009829909,1,X'');
INSERT INTO patient VALUES(X'c7cc45aa9fe9445b8b26ecb43f3a985e','Bina',0,'',31,1700000000000,0,'','','Z2','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-982860581032549256,1,X'');
CREATE TABLE outpost_base_patient(
  id BLOB NOT NULL,
  full_name TEXT NOT NULL DEFAULT '',
  gender INTEGER NOT NULL DEFAULT 0,
  date_of_birth TEXT NOT NULL DEFAULT '',
  age_years INTEGER NOT NULL DEFAULT 0,
  age_recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  street_address TEXT NOT NULL DEFAULT '',
  village_or_colony TEXT NOT NULL DEFAULT '',
  zone TEXT NOT NULL DEFAULT '',
  district TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '',
  country TEXT NOT NULL DEFAULT '',
  pin_code TEXT NOT NULL DEFAULT '',
  reminder_consent INTEGER NOT NULL DEFAULT 0,
  registration_facility_id BLOB NOT NULL DEFAULT x'',
  assigned_facility_id BLOB NOT NULL DEFAULT x'',
  recorded_by_user_id BLOB NOT NULL DEFAULT x'',
  recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
INSERT INTO outpost_base_patient VALUES(X'23880f2dc5a24508bfdadf6b03cc70f8','Asha',0,'',50,1700000000000,0,'','','Z1','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-6334988818016534872,1,X'');
INSERT INTO outpost_base_patient VALUES(X'5c173839ce184d51928ddf8bcd517aaa','Chitra',0,'',4,1,0,'','','','','','','',0,X'c9ec0422de36447c8c294bb40d50726f',X'',X'',0,-522726890564646395,1,X'');
CREATE TABLE patient_phone(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  number TEXT NOT NULL DEFAULT '',
  kind INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
INSERT INTO patient_phone VALUES(X'23880f2dc5a24508bfdadf6b03cc70f8',X'f4ffc872c2764891aec3587506b645c4','0123456',1,0,1513740759777025554,1,X'');
INSERT INTO patient_phone VALUES(X'5c173839ce184d51928ddf8bcd517aaa',X'3806ddff52444f90ab939bdccdb643d8','0123456',1,0,1513740759777025554,1,X'');
INSERT INTO patient_phone VALUES(X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'8e8bf6af557a48079ac2b32bcdcff9ed','0123456',1,0,1513740759777025554,1,X'');
CREATE TABLE outpost_base_patient_phone(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL,
  number TEXT NOT NULL DEFAULT '',
  kind INTEGER NOT NULL DEFAULT 0,
  status INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
CREATE TABLE patient_identifier(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  system TEXT NOT NULL DEFAULT '',
  value TEXT NOT NULL DEFAULT '',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
INSERT INTO patient_identifier VALUES(X'23880f2dc5a24508bfdadf6b03cc70f8',X'0463ab64158d47879a7fbf80463cedbd','card','23880F2DC5A24508BFDADF6B03CC70F8',-345743651227671820,1,X'');
INSERT INTO patient_identifier VALUES(X'5c173839ce184d51928ddf8bcd517aaa',X'cd4e2d0e837a483384fabf345cd1051b','card','5C173839CE184D51928DDF8BCD517AAA',1659133738884941093,1,X'');
INSERT INTO patient_identifier VALUES(X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'6d55f1a9f9e445ef9b61449a7ac58c18','card','C7CC45AA9FE9445B8B26ECB43F3A985E',-4467377857567822444,1,X'');
CREATE TABLE outpost_base_patient_identifier(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL,
  system TEXT NOT NULL DEFAULT '',
  value TEXT NOT NULL DEFAULT '',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
CREATE TABLE blood_pressure(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  systolic_mmhg INTEGER NOT NULL DEFAULT 0,
  diastolic_mmhg INTEGER NOT NULL DEFAULT 0,
  recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  facility_id BLOB NOT NULL DEFAULT x'',
  user_id BLOB NOT NULL DEFAULT x'',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
INSERT INTO blood_pressure VALUES(X'23880f2dc5a24508bfdadf6b03cc70f8',X'5d7d7f5f4c3f41a6859c9bfc79d50a49',170,80,1700000000000,X'c9ec0422de36447c8c294bb40d50726f',X'',4336369936487200208,1,X'');
INSERT INTO blood_pressure VALUES(X'5c173839ce184d51928ddf8bcd517aaa',X'2715edaecddf420f95826eac89c34dbf',124,80,1700000000000,X'c9ec0422de36447c8c294bb40d50726f',X'',-3284426441015751794,1,X'');
INSERT INTO blood_pressure VALUES(X'a6f8f1dfccb4487b94f612f3dd686d56',X'4839e0f83777461698f6ac6b57c85584',140,90,1600000000000,X'c9ec0422de36447c8c294bb40d50726f',X'',-4989862922010219371,1,X'');
CREATE TABLE outpost_base_blood_pressure(
  patient_id BLOB NOT NULL,
  id BLOB NOT NULL,
  systolic_mmhg INTEGER NOT NULL DEFAULT 0,
  diastolic_mmhg INTEGER NOT NULL DEFAULT 0,
  recorded_at_ms INTEGER NOT NULL DEFAULT 0,
  facility_id BLOB NOT NULL DEFAULT x'',
  user_id BLOB NOT NULL DEFAULT x'',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(patient_id, id)
) WITHOUT ROWID;
INSERT INTO outpost_base_blood_pressure VALUES(X'c7cc45aa9fe9445b8b26ecb43f3a985e',X'1cd7549b60ee46df910a67a7651f15bd',151,80,1700000000000,X'c9ec0422de36447c8c294bb40d50726f',X'',729149240035999514,1,X'');
CREATE TABLE facility(
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  name TEXT NOT NULL DEFAULT '',
  facility_type TEXT NOT NULL DEFAULT '',
  street_address TEXT NOT NULL DEFAULT '',
  village_or_colony TEXT NOT NULL DEFAULT '',
  district TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '',
  country TEXT NOT NULL DEFAULT '',
  pin_code TEXT NOT NULL DEFAULT '',
  latitude REAL NOT NULL DEFAULT 0.0,
  longitude REAL NOT NULL DEFAULT 0.0,
  sync_region_id BLOB NOT NULL DEFAULT x'',
  size TEXT NOT NULL DEFAULT '',
  closed_at_ms INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
INSERT INTO facility VALUES(X'c9ec0422de36447c8c294bb40d50726f','Clinic one','','','','','','','',0.0,0.0,X'9fe4675392d74a4680a7a69bc376ee5d','',0,4751726313579272035,1,X'');
CREATE TABLE outpost_base_facility(
  id BLOB NOT NULL,
  name TEXT NOT NULL DEFAULT '',
  facility_type TEXT NOT NULL DEFAULT '',
  street_address TEXT NOT NULL DEFAULT '',
  village_or_colony TEXT NOT NULL DEFAULT '',
  district TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '',
  country TEXT NOT NULL DEFAULT '',
  pin_code TEXT NOT NULL DEFAULT '',
  latitude REAL NOT NULL DEFAULT 0.0,
  longitude REAL NOT NULL DEFAULT 0.0,
  sync_region_id BLOB NOT NULL DEFAULT x'',
  size TEXT NOT NULL DEFAULT '',
  closed_at_ms INTEGER NOT NULL DEFAULT 0,
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
CREATE TABLE sync_region(
  id BLOB NOT NULL DEFAULT (CAST(
    randomblob(6) ||
    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||
      randomblob(1)) ||
    (substr(CASE WHEN random() < 0
      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'
      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'
      END, 1 + (random() & 31), 1) || randomblob(1)) ||
    randomblob(6) AS BLOB)),
  name TEXT NOT NULL DEFAULT '',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
INSERT INTO sync_region VALUES(X'9fe4675392d74a4680a7a69bc376ee5d','North',4473267143721378749,1,X'');
CREATE TABLE outpost_base_sync_region(
  id BLOB NOT NULL,
  name TEXT NOT NULL DEFAULT '',
  outpost_stamp INTEGER NOT NULL DEFAULT 0,
  outpost_version INTEGER NOT NULL DEFAULT 0,
  outpost_unknown BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY(id)
) WITHOUT ROWID;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('outpost_outbox',16);
CREATE INDEX outpost_outbox_order ON outpost_outbox (rank, n);
CREATE INDEX outpost_journal_age ON outpost_journal (answered_at_ms);
CREATE INDEX outpost_resend_order ON outpost_resend (rank, n);
CREATE INDEX outpost_unknown_record_family ON outpost_unknown_record (family_id);
CREATE TRIGGER outpost_patient_before_insert BEFORE INSERT ON patient
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM patient
    WHERE id = NEW.id)
BEGIN
  INSERT INTO outpost_base_patient(id, full_name, gender, date_of_birth, age_years,
      age_recorded_at_ms, status, street_address, village_or_colony, zone, district,
      state, country, pin_code, reminder_consent, registration_facility_id,
      assigned_facility_id, recorded_by_user_id, recorded_at_ms, outpost_stamp,
      outpost_version, outpost_unknown)
    SELECT id, full_name, gender, date_of_birth, age_years, age_recorded_at_ms, status,
      street_address, village_or_colony, zone, district, state, country, pin_code,
      reminder_consent, registration_facility_id, assigned_facility_id,
      recorded_by_user_id, recorded_at_ms, outpost_stamp, outpost_version, outpost_unknown
    FROM patient WHERE id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient
      WHERE id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = NEW.id AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 10, NEW.id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = NEW.id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 10 AND family_id = NEW.id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_after_insert AFTER INSERT ON patient
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 10, NEW.id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = NEW.id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 10 AND family_id = NEW.id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_before_update BEFORE UPDATE ON patient
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_patient(id, full_name, gender, date_of_birth, age_years,
      age_recorded_at_ms, status, street_address, village_or_colony, zone, district,
      state, country, pin_code, reminder_consent, registration_facility_id,
      assigned_facility_id, recorded_by_user_id, recorded_at_ms, outpost_stamp,
      outpost_version, outpost_unknown)
    SELECT id, full_name, gender, date_of_birth, age_years, age_recorded_at_ms, status,
      street_address, village_or_colony, zone, district, state, country, pin_code,
      reminder_consent, registration_facility_id, assigned_facility_id,
      recorded_by_user_id, recorded_at_ms, outpost_stamp, outpost_version, outpost_unknown
    FROM patient WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 10, OLD.id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 10 AND family_id = OLD.id AND id = OLD.id;
END;
CREATE TRIGGER outpost_patient_before_delete BEFORE DELETE ON patient
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_patient(id, full_name, gender, date_of_birth, age_years,
      age_recorded_at_ms, status, street_address, village_or_colony, zone, district,
      state, country, pin_code, reminder_consent, registration_facility_id,
      assigned_facility_id, recorded_by_user_id, recorded_at_ms, outpost_stamp,
      outpost_version, outpost_unknown)
    SELECT id, full_name, gender, date_of_birth, age_years, age_recorded_at_ms, status,
      street_address, village_or_colony, zone, district, state, country, pin_code,
      reminder_consent, registration_facility_id, assigned_facility_id,
      recorded_by_user_id, recorded_at_ms, outpost_stamp, outpost_version, outpost_unknown
    FROM patient WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 10, OLD.id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 10 AND family_id = OLD.id AND id = OLD.id;
  -- OR IGNORE turns into OR REPLACE if that is what deletes: then children stay.
  INSERT OR IGNORE INTO outpost_pending(type, family_id, id, generation)
    SELECT type, family_id, id, -generation FROM outpost_pending
    WHERE type = 10 AND family_id = OLD.id AND id = OLD.id;
  DELETE FROM patient_phone WHERE patient_id = OLD.id
    AND EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id AND generation > 0);
  DELETE FROM patient_identifier WHERE patient_id = OLD.id
    AND EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id AND generation > 0);
  DELETE FROM blood_pressure WHERE patient_id = OLD.id
    AND EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 10 AND family_id = OLD.id AND id = OLD.id AND generation > 0);
  UPDATE outpost_pending SET generation = abs(generation)
    WHERE type = 10 AND family_id = OLD.id AND id = OLD.id;
END
;
CREATE TRIGGER outpost_patient_phone_before_insert BEFORE INSERT ON patient_phone
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM patient_phone
    WHERE patient_id = NEW.patient_id AND id = NEW.id)
BEGIN
  INSERT INTO outpost_base_patient_phone(patient_id, id, number, kind, status,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, number, kind, status, outpost_stamp, outpost_version,
      outpost_unknown
    FROM patient_phone WHERE patient_id = NEW.patient_id AND id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_phone
      WHERE patient_id = NEW.patient_id AND id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = NEW.patient_id AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 11, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 11 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_phone_after_insert AFTER INSERT ON patient_phone
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient_phone.patient_id must be a BLOB of 16 bytes')
    WHERE typeof(NEW.patient_id) <> 'blob' OR length(NEW.patient_id) <> 16;
  SELECT RAISE(ABORT,
    'patient_phone.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 11, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 11 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_phone_before_update BEFORE UPDATE ON patient_phone
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient_phone.patient_id never changes: delete the row and insert another')
    WHERE NEW.patient_id IS NOT OLD.patient_id;
  SELECT RAISE(ABORT,
    'patient_phone.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_patient_phone(patient_id, id, number, kind, status,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, number, kind, status, outpost_stamp, outpost_version,
      outpost_unknown
    FROM patient_phone WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_phone
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 11, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_patient_phone_before_delete BEFORE DELETE ON patient_phone
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_patient_phone(patient_id, id, number, kind, status,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, number, kind, status, outpost_stamp, outpost_version,
      outpost_unknown
    FROM patient_phone WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_phone
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 11, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 11 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_patient_identifier_before_insert BEFORE INSERT ON patient_identifier
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM patient_identifier
    WHERE patient_id = NEW.patient_id AND id = NEW.id)
BEGIN
  INSERT INTO outpost_base_patient_identifier(patient_id, id, system, value,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, system, value, outpost_stamp, outpost_version, outpost_unknown
    FROM patient_identifier WHERE patient_id = NEW.patient_id AND id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_identifier
      WHERE patient_id = NEW.patient_id AND id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = NEW.patient_id AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 12, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 12 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_identifier_after_insert AFTER INSERT ON patient_identifier
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient_identifier.patient_id must be a BLOB of 16 bytes')
    WHERE typeof(NEW.patient_id) <> 'blob' OR length(NEW.patient_id) <> 16;
  SELECT RAISE(ABORT,
    'patient_identifier.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 12, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 12 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_patient_identifier_before_update BEFORE UPDATE ON patient_identifier
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'patient_identifier.patient_id never changes: delete the row and insert another')
    WHERE NEW.patient_id IS NOT OLD.patient_id;
  SELECT RAISE(ABORT,
    'patient_identifier.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_patient_identifier(patient_id, id, system, value,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, system, value, outpost_stamp, outpost_version, outpost_unknown
    FROM patient_identifier WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_identifier
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 12, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_patient_identifier_before_delete BEFORE DELETE ON patient_identifier
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_patient_identifier(patient_id, id, system, value,
      outpost_stamp, outpost_version, outpost_unknown)
    SELECT patient_id, id, system, value, outpost_stamp, outpost_version, outpost_unknown
    FROM patient_identifier WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_patient_identifier
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 12, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 12 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_blood_pressure_before_insert BEFORE INSERT ON blood_pressure
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM blood_pressure
    WHERE patient_id = NEW.patient_id AND id = NEW.id)
BEGIN
  INSERT INTO outpost_base_blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg,
      recorded_at_ms, facility_id, user_id, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT patient_id, id, systolic_mmhg, diastolic_mmhg, recorded_at_ms, facility_id,
      user_id, outpost_stamp, outpost_version, outpost_unknown
    FROM blood_pressure WHERE patient_id = NEW.patient_id AND id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_blood_pressure
      WHERE patient_id = NEW.patient_id AND id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = NEW.patient_id AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 13, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 13 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_blood_pressure_after_insert AFTER INSERT ON blood_pressure
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'blood_pressure.patient_id must be a BLOB of 16 bytes')
    WHERE typeof(NEW.patient_id) <> 'blob' OR length(NEW.patient_id) <> 16;
  SELECT RAISE(ABORT,
    'blood_pressure.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 13, NEW.patient_id, NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = NEW.patient_id AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 13 AND family_id = NEW.patient_id AND id = NEW.id;
END;
CREATE TRIGGER outpost_blood_pressure_before_update BEFORE UPDATE ON blood_pressure
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'blood_pressure.patient_id never changes: delete the row and insert another')
    WHERE NEW.patient_id IS NOT OLD.patient_id;
  SELECT RAISE(ABORT,
    'blood_pressure.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg,
      recorded_at_ms, facility_id, user_id, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT patient_id, id, systolic_mmhg, diastolic_mmhg, recorded_at_ms, facility_id,
      user_id, outpost_stamp, outpost_version, outpost_unknown
    FROM blood_pressure WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_blood_pressure
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 13, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_blood_pressure_before_delete BEFORE DELETE ON blood_pressure
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg,
      recorded_at_ms, facility_id, user_id, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT patient_id, id, systolic_mmhg, diastolic_mmhg, recorded_at_ms, facility_id,
      user_id, outpost_stamp, outpost_version, outpost_unknown
    FROM blood_pressure WHERE patient_id = OLD.patient_id AND id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_blood_pressure
      WHERE patient_id = OLD.patient_id AND id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 13, OLD.patient_id, OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 13 AND family_id = OLD.patient_id AND id = OLD.id;
END;
CREATE TRIGGER outpost_facility_before_insert BEFORE INSERT ON facility
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM facility
    WHERE id = NEW.id)
BEGIN
  INSERT INTO outpost_base_facility(id, name, facility_type, street_address,
      village_or_colony, district, state, country, pin_code, latitude, longitude,
      sync_region_id, size, closed_at_ms, outpost_stamp, outpost_version, outpost_unknown)
    SELECT id, name, facility_type, street_address, village_or_colony, district, state,
      country, pin_code, latitude, longitude, sync_region_id, size, closed_at_ms,
      outpost_stamp, outpost_version, outpost_unknown
    FROM facility WHERE id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_facility
      WHERE id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 14, x'00000000000000000000000000000000', NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id;
END;
CREATE TRIGGER outpost_facility_after_insert AFTER INSERT ON facility
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'facility.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 14, x'00000000000000000000000000000000', NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id;
END;
CREATE TRIGGER outpost_facility_before_update BEFORE UPDATE ON facility
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'facility.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_facility(id, name, facility_type, street_address,
      village_or_colony, district, state, country, pin_code, latitude, longitude,
      sync_region_id, size, closed_at_ms, outpost_stamp, outpost_version, outpost_unknown)
    SELECT id, name, facility_type, street_address, village_or_colony, district, state,
      country, pin_code, latitude, longitude, sync_region_id, size, closed_at_ms,
      outpost_stamp, outpost_version, outpost_unknown
    FROM facility WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_facility
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 14, x'00000000000000000000000000000000', OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id;
END;
CREATE TRIGGER outpost_facility_before_delete BEFORE DELETE ON facility
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_facility(id, name, facility_type, street_address,
      village_or_colony, district, state, country, pin_code, latitude, longitude,
      sync_region_id, size, closed_at_ms, outpost_stamp, outpost_version, outpost_unknown)
    SELECT id, name, facility_type, street_address, village_or_colony, district, state,
      country, pin_code, latitude, longitude, sync_region_id, size, closed_at_ms,
      outpost_stamp, outpost_version, outpost_unknown
    FROM facility WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_facility
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 14, x'00000000000000000000000000000000', OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 14 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id;
END;
CREATE TRIGGER outpost_sync_region_before_insert BEFORE INSERT ON sync_region
WHEN (SELECT applying FROM outpost_state) = 0
  AND EXISTS (SELECT 1 FROM sync_region
    WHERE id = NEW.id)
BEGIN
  INSERT INTO outpost_base_sync_region(id, name, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT id, name, outpost_stamp, outpost_version, outpost_unknown
    FROM sync_region WHERE id = NEW.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_sync_region
      WHERE id = NEW.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 15, x'00000000000000000000000000000000', NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id;
END;
CREATE TRIGGER outpost_sync_region_after_insert AFTER INSERT ON sync_region
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'sync_region.id must be a BLOB of 16 bytes, or left out')
    WHERE typeof(NEW.id) <> 'blob' OR length(NEW.id) <> 16;
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 15, x'00000000000000000000000000000000', NEW.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = NEW.id;
END;
CREATE TRIGGER outpost_sync_region_before_update BEFORE UPDATE ON sync_region
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  SELECT RAISE(ABORT,
    'sync_region.id never changes: delete the row and insert another')
    WHERE NEW.id IS NOT OLD.id;
  INSERT INTO outpost_base_sync_region(id, name, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT id, name, outpost_stamp, outpost_version, outpost_unknown
    FROM sync_region WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_sync_region
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 15, x'00000000000000000000000000000000', OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id;
END;
CREATE TRIGGER outpost_sync_region_before_delete BEFORE DELETE ON sync_region
WHEN (SELECT applying FROM outpost_state) = 0
BEGIN
  INSERT INTO outpost_base_sync_region(id, name, outpost_stamp, outpost_version,
      outpost_unknown)
    SELECT id, name, outpost_stamp, outpost_version, outpost_unknown
    FROM sync_region WHERE id = OLD.id
    AND NOT EXISTS (SELECT 1 FROM outpost_base_sync_region
      WHERE id = OLD.id)
    AND NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  INSERT INTO outpost_pending(type, family_id, id, generation)
    SELECT 15, x'00000000000000000000000000000000', OLD.id, 0
    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending
      WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id);
  UPDATE outpost_pending SET generation = generation + 1
    WHERE type = 15 AND family_id = x'00000000000000000000000000000000' AND id = OLD.id;
END;
COMMIT;
