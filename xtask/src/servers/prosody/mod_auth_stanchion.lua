-- Accounts for Prosody under test, with SCRAM-*-PLUS on every TLS version.
--
-- Passwords lie in plain text in the store, so that PLAIN and each SCRAM
-- variant are offered together; yet an account's salt stays the same from login
-- to login, as in a store of hashed passwords: clients may keep what they derive
-- from it. Prosody 0.12 knows channel binding only as
-- tls-unique, which TLS 1.3 has not: this module hands each session a SASL
-- handler that also knows tls-exporter (RFC 9266) and tls-server-end-point
-- (RFC 5929), and lists them in the stream features (XEP-0440).

local sasl = require "util.sasl";
local scram = require "util.sasl.scram";
local usermanager = require "core.usermanager";

local bindings = { "tls-unique", "tls-exporter", "tls-server-end-point" };
local hashers = scram.hashers;
local uuid = require "util.uuid".generate;
local iterations = 10000;

local accounts = module:open_store("accounts");
local auth = {};

-- Registering a mechanism again replaces the bindings it may be used with.
scram.init(function (name, _, run, plus)
	if plus then sasl.registerMechanism(name, {}, run, bindings); end
end);

-- The certificate is signed with SHA-256, so that is the hash of RFC 5929.
local function certificate_hash(path)
	local file = path and io.open(path);
	if not file then return nil; end
	local certificate = require "ssl".loadcertificate(file:read("*a"));
	file:close();
	return certificate and (certificate:digest("sha256"):gsub("..", function (byte)
		return string.char(tonumber(byte, 16));
	end));
end
local end_point = certificate_hash(module:get_option_string("stanchion_certificate"));

local function available(session)
	local socket = session.secure and session.conn and session.conn.socket and session.conn:socket();
	local tls = socket and socket.info and socket:info();
	if not tls then return {}; end
	local found = {};
	if tls.protocol == "TLSv1.3" then
		found["tls-exporter"] = function ()
			return socket:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, "");
		end;
	else
		found["tls-unique"] = function () return socket:getpeerfinished(); end;
	end
	if end_point then
		found["tls-server-end-point"] = function () return end_point; end;
	end
	return found;
end

function auth.get_password(name)
	local account = accounts:get(name);
	return account and account.password;
end

function auth.test_password(name, password)
	if auth.get_password(name) == password then return true; end
	return nil, "wrong name or password";
end

function auth.set_password(name, password)
	return accounts:set(name, { password = password });
end

function auth.user_exists(name)
	return accounts:get(name) ~= nil;
end

function auth.users()
	return accounts:users();
end

function auth.create_user(name, password)
	return accounts:set(name, { password = password });
end

function auth.delete_user(name)
	return accounts:set(name, nil);
end

-- What SCRAM needs of an account: name, hash and password to salt and keys.
local derived = {};

local function keys(hash, name)
	local password = auth.get_password(name);
	if not password then return nil; end
	local id = hash .. "\0" .. name;
	local known = derived[id];
	if not known or known.password ~= password then
		local salt = uuid();
		local ok, stored_key, server_key = hashers[hash](password, salt, iterations);
		if not ok then return nil; end
		known = { password = password, salt = salt, stored_key = stored_key, server_key = server_key };
		derived[id] = known;
	end
	return known.stored_key, known.server_key, iterations, known.salt, true;
end

function auth.get_sasl_handler(session)
	local profile = {
		plain_test = function (_, name, password, realm)
			return usermanager.test_password(name, realm, password), true;
		end;
		scram_sha_1 = function (_, name) return keys("SHA-1", name); end;
		scram_sha_256 = function (_, name) return keys("SHA-256", name); end;
	};
	-- An empty table would count as "channel binding is possible".
	local cb = session and available(session) or {};
	if next(cb) then profile.cb = cb; end
	return sasl.new(module.host, profile);
end

module:hook("stream-features", function (event)
	local session = event.origin;
	if session.username then return; end
	local cb = available(session);
	if not next(cb) then return; end
	event.features:tag("sasl-channel-binding", { xmlns = "urn:xmpp:sasl-cb:0" });
	for name in pairs(cb) do
		event.features:tag("channel-binding", { type = name }):up();
	end
	event.features:up();
end);

module:provides("auth", auth);
