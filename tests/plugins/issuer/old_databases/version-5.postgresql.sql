SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.access_tokens (
    digest bytea NOT NULL,
    family_id character varying(32) NOT NULL,
    scope text NOT NULL,
    issued_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    audience text
);
CREATE TABLE public.authorization_codes (
    digest bytea NOT NULL,
    client_id character varying(64) NOT NULL,
    redirect_uri text NOT NULL,
    redirect_uri_given integer NOT NULL,
    scope text NOT NULL,
    subject text NOT NULL,
    challenge character varying(128),
    expires_at double precision NOT NULL,
    family_id character varying(32)
);
CREATE TABLE public.clients (
    client_id character varying(64) NOT NULL,
    name text NOT NULL,
    kind character varying(16) NOT NULL,
    auth_method character varying(64) NOT NULL,
    auth_metadata text,
    secret_digest bytea,
    grant_types text NOT NULL,
    scope text NOT NULL,
    redirect_uris text NOT NULL,
    issued_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    anonymous integer NOT NULL,
    introspects integer NOT NULL,
    used_at double precision,
    previous_digest bytea,
    previous_until double precision
);
CREATE TABLE public.device_codes (
    digest bytea NOT NULL,
    user_code_digest bytea NOT NULL,
    client_id character varying(64) NOT NULL,
    scope text NOT NULL,
    subject text,
    status character varying(16) NOT NULL,
    expires_at double precision NOT NULL,
    "interval" double precision NOT NULL,
    polls integer NOT NULL,
    polled_at double precision
);
CREATE TABLE public.families (
    family_id character varying(32) NOT NULL,
    client_id character varying(64) NOT NULL,
    subject text NOT NULL,
    scope text NOT NULL,
    expires_at double precision NOT NULL,
    revoked_at double precision,
    origin character varying(32)
);
CREATE TABLE public.form_key (
    key bytea NOT NULL
);
CREATE TABLE public.grantway_issuer_schema (
    version integer NOT NULL
);
CREATE TABLE public.plugin_records (
    digest bytea NOT NULL,
    value text NOT NULL,
    expires_at double precision NOT NULL
);
CREATE TABLE public.refresh_tokens (
    digest bytea NOT NULL,
    family_id character varying(32) NOT NULL,
    used_at double precision
);
INSERT INTO public.access_tokens VALUES ('\xb73146f74059c38b34dbe7f03e47ee7911f6aaacb66e98f87db801659399cadd2d69bcf2eefee271584f452d996a0db0', 'b73146f74059c38b34dbe7f03e47ee79', 'a b', 1800000000, 1800003600, NULL);
INSERT INTO public.access_tokens VALUES ('\xb73146f74059c38b34dbe7f03e47ee79bc970c4f18d748a2629d7bed280b97b736790f5b50a49676ee78ca866f1f105f', 'b73146f74059c38b34dbe7f03e47ee79', 'a b', 1800000000, 1800003600, NULL);
INSERT INTO public.access_tokens VALUES ('\xbee853ae04778ad32cba76e8067e58f70e393bd6ba32dd82354602ef7810b9a8eaffd014e489814432880eaacbd5359a', 'bee853ae04778ad32cba76e8067e58f7', 'a b', 1800000000, 1800003600, NULL);
INSERT INTO public.authorization_codes VALUES ('\xb82eb4a266a343c703dd3e879e88e6e4d0e430a1dc0fcfca8b42fa662ac5333a', 'c2bf33e3fc012940465a78269d0aee6a', 'http://127.0.0.1:8400/oauth/callback', 1, 'a b', 'local-user', '7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM', 1800000600, 'b73146f74059c38b34dbe7f03e47ee79');
INSERT INTO public.authorization_codes VALUES ('\x303305eeaea1e4f76aaf587c4f75dc089373b9315e66c2e5fb84b640c6ec054c', 'c2bf33e3fc012940465a78269d0aee6a', 'http://127.0.0.1:8400/oauth/callback', 1, 'a b', 'local-user', '7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM', 1800000600, 'bee853ae04778ad32cba76e8067e58f7');
INSERT INTO public.authorization_codes VALUES ('\xd20001bc74dbe217c2e95a415f6c46636429d17641adb0972f314841fa8afd04', 'c2bf33e3fc012940465a78269d0aee6a', 'http://127.0.0.1:8400/oauth/callback', 1, 'a b', 'local-user', '7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM', 1800000600, NULL);
INSERT INTO public.clients VALUES ('c2bf33e3fc012940465a78269d0aee6a', 'Zoë''s notes', 'rfc', 'client_secret_basic', NULL, '\x279f72ea4ea1e339b52823f2f9acd067d459400b28271f6b150888ada8da44ad', '["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]', 'a b', '["http://127.0.0.1:8400/oauth/callback"]', 1800000000, 1807776000, 0, 1, NULL, NULL, NULL);
INSERT INTO public.clients VALUES ('aba26a3f6d133149915932bef55e9e64', 'A tool', 'aws', 'client_secret_post', NULL, '\x4fd051157ff8f508f54c35a0eff922509d21c1d433b51eb61b9bf6920577fa1b', '["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]', 'a b', '["http://127.0.0.1:8400/oauth/callback"]', 1800000000, 1807776000, 0, 1, NULL, NULL, NULL);
INSERT INTO public.clients VALUES ('19373f5496537f87a74fa34dc49e009d', 'service', 'rfc', 'client_secret_basic', NULL, '\x3cc5828eabc20cfc4913a877eed9929c7307214668ea762c675b6ab348e05ee4', '["client_credentials"]', 'sso:account:access', '[]', 1795958092.624167, 'Infinity', 0, 0, NULL, '\x917c3770adcf9044e034b848af995c51ad754465c92a6bb0b71834c2b5a3216b', 2795958092.6251254);
INSERT INTO public.device_codes VALUES ('\x553aacbc8bc8f57375b1b66108c5370cafc86e6e960112692cc806ca00e3cc14', '\xd91f1409f77fd2b2f55fea7409b68c416e58021532911f10ef616719007e0fbb', 'c2bf33e3fc012940465a78269d0aee6a', 'a', 'local-user', 'approved', 1800000600, 5, 0, NULL);
INSERT INTO public.families VALUES ('b73146f74059c38b34dbe7f03e47ee79', 'c2bf33e3fc012940465a78269d0aee6a', 'local-user', 'a b', 1807776000, NULL, NULL);
INSERT INTO public.families VALUES ('bee853ae04778ad32cba76e8067e58f7', 'c2bf33e3fc012940465a78269d0aee6a', 'local-user', 'a b', 1807776000, 1800000000, NULL);
INSERT INTO public.form_key VALUES ('\xe68a3536b742e61194e517234f77e01e0c94d3eff2a8218408e511ed2f503169');
INSERT INTO public.grantway_issuer_schema VALUES (5);
INSERT INTO public.plugin_records VALUES ('\xee34234a2ba41913663f31f9091c1b3467be783d72206fedc1c8949ec842b99c', '{"left":3}', 1800086400);
INSERT INTO public.refresh_tokens VALUES ('\xb73146f74059c38b34dbe7f03e47ee799ada5b0cf63edcec3dc0176ad6264b4b019fd8222a4986e90a15758669a57809', 'b73146f74059c38b34dbe7f03e47ee79', 1800000000);
INSERT INTO public.refresh_tokens VALUES ('\xb73146f74059c38b34dbe7f03e47ee79065b1527e75761acda3dcfd71d85ff6710a6a0334d8ac0c79f1883407e36c3d5', 'b73146f74059c38b34dbe7f03e47ee79', NULL);
INSERT INTO public.refresh_tokens VALUES ('\xbee853ae04778ad32cba76e8067e58f757b3959ae67a30d11deb9c9f33d78f25e1a36abfbef71f89b03df27f0f069b17', 'bee853ae04778ad32cba76e8067e58f7', NULL);
ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT access_tokens_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.authorization_codes
    ADD CONSTRAINT authorization_codes_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.clients
    ADD CONSTRAINT clients_pkey PRIMARY KEY (client_id);
ALTER TABLE ONLY public.device_codes
    ADD CONSTRAINT device_codes_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.device_codes
    ADD CONSTRAINT device_codes_user_code_digest_key UNIQUE (user_code_digest);
ALTER TABLE ONLY public.families
    ADD CONSTRAINT families_pkey PRIMARY KEY (family_id);
ALTER TABLE ONLY public.plugin_records
    ADD CONSTRAINT plugin_records_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (digest);
CREATE INDEX clients_anonymous ON public.clients USING btree (anonymous, used_at, issued_at);
CREATE INDEX ix_access_tokens_expires_at ON public.access_tokens USING btree (expires_at);
CREATE INDEX ix_authorization_codes_expires_at ON public.authorization_codes USING btree (expires_at);
CREATE INDEX ix_clients_expires_at ON public.clients USING btree (expires_at);
CREATE INDEX ix_device_codes_expires_at ON public.device_codes USING btree (expires_at);
CREATE INDEX ix_families_expires_at ON public.families USING btree (expires_at);
CREATE INDEX ix_families_origin ON public.families USING btree (origin);
CREATE INDEX ix_families_revoked_at ON public.families USING btree (revoked_at);
CREATE INDEX ix_plugin_records_expires_at ON public.plugin_records USING btree (expires_at);
