-- Lets the community modules sasl2, sasl2_bind2, sasl2_fast and sasl2_sm, made
-- for a later Prosody, run on 0.12. It supplies what they call and 0.12 lacks:
-- TLS facts on a connection, stream management without an answer of its own,
-- two methods of stanzas, timestamps that are not whole seconds.

local datetime = require "util.datetime";
local errors = require "util.error";
local filters = require "util.filters";
local stanza = require "util.stanza".stanza_mt;

-- LuaSec knows the facts; 0.12 has no way to them but the socket.
local tls = {
	ssl_info = "info";
	ssl_peerfinished = "getpeerfinished";
	ssl_exportkeyingmaterial = "exportkeyingmaterial";
};

local function teach(class)
	for name, method in pairs(tls) do
		class[name] = class[name] or function (conn, ...)
			local socket = conn:socket();
			if socket and socket[method] then return socket[method](socket, ...); end
		end;
	end
end

module:hook("stream-features", function (event)
	local conn = event.origin.conn;
	local class = conn and getmetatable(conn);
	if class and type(class.__index) == "table" then teach(class.__index); end
	-- Read for the localpart of the client's "from" before it has logged in.
	event.stream = event.stream or { from = "somebody@" .. module.host };
end, 1000);

function stanza:add_error(err)
	local attr = { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" };
	return self:tag(err.condition or "undefined-condition", attr):up();
end

function stanza:get_child_attr(name, xmlns, attr)
	local child = self:get_child(name, xmlns);
	return child and child.attr[attr];
end

local whole = datetime.datetime;
function datetime.datetime(time)
	return whole(time and math.floor(time));
end

-- 0.12 answers <enable/> and <resume/> on the stream at once; SASL2 wants the
-- answer inside <success/>, and what follows it afterwards. A filter behind
-- all others keeps back what is sent meanwhile.
local smacks = module:depends "smacks";

local function hold_back(session, handle, request)
	local held = {};
	local function keep(item) held[#held + 1] = item; end
	filters.add_filter(session, "stanzas/out", keep, -100000);
	handle(session, request, request.attr.xmlns);
	filters.remove_filter(session, "stanzas/out", keep);
	return table.remove(held, 1), held;
end

local function refusal(answer)
	local condition = answer and answer.tags[1] and answer.tags[1].name or "internal-server-error";
	return errors.new({ type = "cancel", condition = condition }, { h = answer and tonumber(answer.attr.h) });
end

function smacks.do_enable(session, request)
	local answer = hold_back(session, smacks.handle_enable, request);
	if not answer or answer.name ~= "enabled" then return nil, refusal(answer); end
	return {
		type = "enabled", session = session, id = answer.attr.id, resume_max = answer.attr.max;
		finish = function () end;
	};
end

function smacks.do_resume(session, request)
	local conn = session.conn;
	local answer, rest = hold_back(session, smacks.handle_resume, request);
	if not answer or answer.name ~= "resumed" then return nil, refusal(answer); end
	-- The old session has taken over the connection.
	local resumed = module:shared "/*/c2s/sessions"[conn];
	-- From here on it stands for the session that logged in; mod_sasl2_fast asks it.
	resumed.sasl_handler, resumed.client_id = session.sasl_handler, session.client_id;
	resumed.fast_token_request = session.fast_token_request;
	return {
		type = "resumed", session = resumed, id = answer.attr.previd;
		finish = function ()
			-- They are in the queue already: not to be counted twice.
			resumed.resending_unacked = true;
			for _, item in ipairs(rest) do resumed.send(item); end
			resumed.resending_unacked = nil;
		end;
	};
end
