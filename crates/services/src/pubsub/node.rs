//! Questions and orders about nodes: one request each, one answer (XEP-0060 §5 to §8).

use std::fmt;

use stanchion_stanza::payload::disco::{DiscoInfo, DiscoItems};
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::pubsub::{
    Affiliation, Answer, Item, MetaData, NodeConfig, Owner, OwnerSubscription, PublishOptions,
    Request as Ask, SubscribeOptions, Subscription, SubscriptionState,
};
use stanchion_stanza::payload::rsm::{Page, PageRequest};
use stanchion_stanza::{Element, Jid, Payload as _, Text};

use super::error::PubsubError;
use crate::disco;
use crate::host::Requests;
use crate::request::{Request, RequestError};

/// A publish/subscribe service, or an account as one (XEP-0163). Cheap to clone.
#[derive(Debug, Clone)]
pub struct PubsubService {
    pub(super) requests: Requests,
    /// None: our own account.
    pub(super) at: Option<Jid>,
}

/// A field of a node's configuration that is not as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name, such as `pubsub#max_items`.
    pub field: Text,
    /// What was wanted.
    pub wanted: Vec<Text>,
    /// What the service has set; none if it does not know the field.
    pub set: Option<Vec<Text>>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |texts: &[Text]| {
            let texts: Vec<_> = texts.iter().map(Text::as_str).collect();
            texts.join(", ")
        };
        let (field, wanted) = (&self.field, joined(&self.wanted));
        match &self.set {
            Some(set) => write!(f, "{field} is {:?}, not {wanted:?}", joined(set)),
            None => write!(f, "{field} is not known, and not {wanted:?}"),
        }
    }
}

/// How a node is configured after a wish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// The node; a service may have chosen its name.
    pub node: Text,
    /// What holds now, as the service says.
    pub config: NodeConfig,
    /// Where that is not what was wanted. `max` is met by any number.
    pub differences: Vec<Difference>,
}

/// Items of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items {
    /// In the service's order.
    pub items: Vec<Item>,
    /// Which part of all they are (XEP-0059). None if a page was asked for: the service
    /// does not page, and these are what it gave instead.
    pub page: Option<Page>,
}

impl PubsubService {
    /// The address; none is our own account.
    #[must_use]
    pub const fn address(&self) -> Option<&Jid> {
        self.at.as_ref()
    }

    async fn get(&self, what: Element) -> Result<Option<Element>, PubsubError> {
        let request = Request::get(self.at.clone(), what);
        Ok(self.requests.ask(request).await?)
    }

    async fn set(&self, what: Element) -> Result<Option<Element>, PubsubError> {
        let request = Request::set(self.at.clone(), what);
        Ok(self.requests.ask(request).await?)
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, PubsubError> {
        let answer = self.get(ask.to_element()).await?;
        read_answer(answer)
    }

    async fn order(&self, ask: Ask) -> Result<Answer, PubsubError> {
        let answer = self.set(ask.to_element()).await?;
        read_answer(answer)
    }

    async fn ask_owner(&self, owner: Owner) -> Result<Owner, PubsubError> {
        let answer = self.get(owner.to_element()).await?;
        let answer = answer.ok_or(PubsubError::Unexpected("an owner's question"))?;
        Owner::from_element(&answer).map_err(unreadable)
    }

    async fn order_owner(&self, owner: Owner) -> Result<(), PubsubError> {
        self.set(owner.to_element()).await.map(drop)
    }

    // ---- finding --------------------------------------------------------------------

    /// What the service is and can do (§5.1). For our own account, ask its address.
    ///
    /// # Errors
    /// [`PubsubError`], as of all of these.
    pub async fn discover(&self) -> Result<DiscoInfo, PubsubError> {
        self.info(None).await
    }

    async fn info(&self, node: Option<Text>) -> Result<DiscoInfo, PubsubError> {
        let query = DiscoInfo {
            node,
            ..DiscoInfo::default()
        };
        let request = Request::get(self.at.clone(), query.to_element());
        Ok(self.requests.ask_for(request).await?)
    }

    /// Its nodes, by name, each with its title if it has one (§5.2).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn nodes(&self) -> Result<Vec<(Text, Option<Text>)>, PubsubError> {
        let items: DiscoItems = match &self.at {
            Some(at) => disco::items(&self.requests, at.clone(), None).await?,
            None => {
                let query = DiscoItems::default().to_element();
                self.requests.ask_for(Request::get(None, query)).await?
            }
        };
        let items = items.items.into_iter();
        Ok(items.filter_map(|i| Some((i.node?, i.name))).collect())
    }

    /// What a node tells of itself (§5.4).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn metadata(&self, node: Text) -> Result<MetaData, PubsubError> {
        let info = self.info(Some(node)).await?;
        let forms = info.extensions.iter().filter(|e| Form::matches(e));
        let mut forms = forms.filter_map(|e| Form::from_element(e).ok());
        let about = |form: &Form| form.form_type() == Some(MetaData::FORM_TYPE);
        match forms.find(about) {
            Some(form) => MetaData::from_form(&form).map_err(unreadable),
            None => Ok(MetaData::default()),
        }
    }

    // ---- nodes ----------------------------------------------------------------------

    /// Creates a node (§8.1), then asks how it is really configured.
    ///
    /// # Errors
    /// [`PubsubError`]; one that is there already is a conflict.
    pub async fn create(
        &self,
        node: Option<Text>,
        config: &NodeConfig,
    ) -> Result<Configured, PubsubError> {
        let wish = config.to_form(FormType::Submit);
        let ask = Ask::Create {
            node: node.clone(),
            configure: (*config != NodeConfig::default()).then(|| wish.clone()),
        };
        let created = match self.order(ask).await? {
            Answer::Created { node } => Some(node),
            _ => None,
        };
        let node = created.or(node);
        let node = node.ok_or(PubsubError::Unexpected("an instant node's creation"))?;
        self.compare(node, &wish).await
    }

    /// As [`PubsubService::create`], and configures the node if it is there already.
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn create_or_configure(
        &self,
        node: Text,
        config: &NodeConfig,
    ) -> Result<Configured, PubsubError> {
        use stanchion_stanza::stanza::DefinedCondition::Conflict;
        match self.create(Some(node.clone()), config).await {
            Err(error) if error.reason().is_some_and(|r| r.condition == Conflict) => {
                self.configure(node, config).await
            }
            other => other,
        }
    }

    /// Configures a node (§8.2), then asks how it is really configured.
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn configure(
        &self,
        node: Text,
        config: &NodeConfig,
    ) -> Result<Configured, PubsubError> {
        let wish = config.to_form(FormType::Submit);
        let form = Some(wish.clone());
        let owner = Owner::Configure {
            node: node.clone(),
            form,
        };
        self.order_owner(owner).await?;
        self.compare(node, &wish).await
    }

    async fn compare(&self, node: Text, wish: &Form) -> Result<Configured, PubsubError> {
        let form = self.configuration_form(node.clone()).await?;
        let differences = differences(wish, &form);
        let config = NodeConfig::from_form(&form).map_err(unreadable)?;
        Ok(Configured {
            node,
            config,
            differences,
        })
    }

    async fn configuration_form(&self, node: Text) -> Result<Form, PubsubError> {
        let form = None;
        match self.ask_owner(Owner::Configure { node, form }).await? {
            Owner::Configure {
                form: Some(form), ..
            } => Ok(form),
            _ => Err(PubsubError::Unexpected("a node's configuration")),
        }
    }

    /// How a node is configured (§8.2).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn configuration(&self, node: Text) -> Result<NodeConfig, PubsubError> {
        let form = self.configuration_form(node).await?;
        NodeConfig::from_form(&form).map_err(unreadable)
    }

    /// How a new node is configured (§8.3).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn defaults(&self) -> Result<NodeConfig, PubsubError> {
        match self.ask_owner(Owner::Default { form: None }).await? {
            Owner::Default { form: Some(form) } => NodeConfig::from_form(&form).map_err(unreadable),
            _ => Err(PubsubError::Unexpected("the default configuration")),
        }
    }

    /// Deletes a node with all its items (§8.4).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn delete(&self, node: Text) -> Result<(), PubsubError> {
        let redirect = None;
        self.order_owner(Owner::Delete { node, redirect }).await
    }

    /// Deletes all items of a node (§8.5).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn purge(&self, node: Text) -> Result<(), PubsubError> {
        self.order_owner(Owner::Purge { node }).await
    }

    // ---- subscriptions --------------------------------------------------------------

    /// Subscribes `jid`, ours, bare or full (§6.1): a bare request, for who looks after
    /// the events itself. See [`Pubsub::subscribe`](super::Pubsub::subscribe).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn subscribe_bare(
        &self,
        jid: Jid,
        node: Text,
        options: Option<&SubscribeOptions>,
    ) -> Result<Subscription, PubsubError> {
        let ask = Ask::Subscribe {
            jid,
            node: Some(node),
            options: options.map(|options| options.to_form(FormType::Submit)),
        };
        match self.order(ask).await? {
            Answer::Subscribed(subscription) => Ok(subscription),
            _ => Err(PubsubError::Unexpected("a subscription")),
        }
    }

    /// Ends a subscription of `jid`, ours (§6.2).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn unsubscribe(
        &self,
        jid: Jid,
        node: Text,
        subid: Option<Text>,
    ) -> Result<(), PubsubError> {
        let node = Some(node);
        let ask = Ask::Unsubscribe { jid, node, subid };
        self.order(ask).await.map(drop)
    }

    /// The options of a subscription (§6.3).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn options(
        &self,
        jid: Jid,
        node: Text,
        subid: Option<Text>,
    ) -> Result<SubscribeOptions, PubsubError> {
        let ask = Ask::Options {
            jid,
            node: Some(node),
            subid,
            form: None,
        };
        match self.ask(ask).await? {
            Answer::Options {
                form: Some(form), ..
            } => SubscribeOptions::from_form(&form).map_err(unreadable),
            _ => Err(PubsubError::Unexpected("a subscription's options")),
        }
    }

    /// Sets the options of a subscription (§6.3.5).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn set_options(
        &self,
        jid: Jid,
        node: Text,
        subid: Option<Text>,
        options: &SubscribeOptions,
    ) -> Result<(), PubsubError> {
        let ask = Ask::Options {
            jid,
            node: Some(node),
            subid,
            form: Some(options.to_form(FormType::Submit)),
        };
        self.order(ask).await.map(drop)
    }

    /// Our subscriptions, at one node or all (§5.6).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn subscriptions(
        &self,
        node: Option<Text>,
    ) -> Result<Vec<Subscription>, PubsubError> {
        match self.ask(Ask::Subscriptions { node }).await? {
            Answer::Subscriptions { subscriptions, .. } => Ok(subscriptions),
            Answer::Empty => Ok(Vec::new()),
            _ => Err(PubsubError::Unexpected("our subscriptions")),
        }
    }

    /// What we are to its nodes (§5.7).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn affiliations(
        &self,
        node: Option<Text>,
    ) -> Result<Vec<(Text, Affiliation)>, PubsubError> {
        match self.ask(Ask::Affiliations { node }).await? {
            Answer::Affiliations { affiliations, .. } => Ok(affiliations),
            Answer::Empty => Ok(Vec::new()),
            _ => Err(PubsubError::Unexpected("our affiliations")),
        }
    }

    /// Who is subscribed to a node of ours (§8.8.1).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn subscribers(&self, node: Text) -> Result<Vec<OwnerSubscription>, PubsubError> {
        let owner = Owner::Subscriptions {
            node: Some(node),
            subscriptions: Vec::new(),
        };
        match self.ask_owner(owner).await? {
            Owner::Subscriptions { subscriptions, .. } => Ok(subscriptions),
            _ => Err(PubsubError::Unexpected("the subscribers")),
        }
    }

    /// Subscribes somebody to a node of ours, or ends that (§8.8.2).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn set_subscriber(
        &self,
        node: Text,
        jid: Jid,
        state: SubscriptionState,
    ) -> Result<(), PubsubError> {
        let subid = None;
        let subscriptions = vec![OwnerSubscription { jid, subid, state }];
        let node = Some(node);
        self.order_owner(Owner::Subscriptions {
            node,
            subscriptions,
        })
        .await
    }

    /// What others are to a node of ours (§8.9.1).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn affiliates(&self, node: Text) -> Result<Vec<(Jid, Affiliation)>, PubsubError> {
        let affiliations = Vec::new();
        let owner = Owner::Affiliations { node, affiliations };
        match self.ask_owner(owner).await? {
            Owner::Affiliations { affiliations, .. } => Ok(affiliations),
            _ => Err(PubsubError::Unexpected("the affiliates")),
        }
    }

    /// Makes somebody an owner, publisher, member and so on (§8.9.2).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn set_affiliate(
        &self,
        node: Text,
        jid: Jid,
        affiliation: Affiliation,
    ) -> Result<(), PubsubError> {
        let affiliations = vec![(jid, affiliation)];
        self.order_owner(Owner::Affiliations { node, affiliations })
            .await
    }

    // ---- items ----------------------------------------------------------------------

    /// Publishes once, without keeping anything (§7.1), and gives the item's id. With
    /// options, a node that is not there is created so, where the service can. See
    /// [`Pubsub::publisher`](super::Pubsub::publisher) for what is not to be lost.
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn publish_once(
        &self,
        node: Text,
        item: Item,
        options: Option<&NodeConfig>,
    ) -> Result<Text, PubsubError> {
        let given = item.id.clone();
        let options = options.map(|o| PublishOptions(o.clone()).to_form());
        let items = vec![item];
        let ask = Ask::Publish {
            node,
            items,
            options,
        };
        let answered = match self.order(ask).await? {
            Answer::Published { ids, .. } => ids.into_iter().next(),
            _ => None,
        };
        let id = answered.or(given);
        id.ok_or(PubsubError::Unexpected("a publication without id"))
    }

    /// Deletes items (§7.2). With `notify`, subscribers are told where the node leaves it
    /// open.
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn retract(
        &self,
        node: Text,
        ids: Vec<Text>,
        notify: bool,
    ) -> Result<(), PubsubError> {
        let ask = Ask::Retract { node, ids, notify };
        self.order(ask).await.map(drop)
    }

    /// The latest items, so many at most; none: all (§6.5.7).
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn items(&self, node: Text, most: Option<u32>) -> Result<Vec<Item>, PubsubError> {
        Ok(self.some_items(node, most, Vec::new(), None).await?.items)
    }

    /// Items by id (§6.5.8); those that the node does not hold are not among them.
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn items_by_id(&self, node: Text, ids: Vec<Text>) -> Result<Vec<Item>, PubsubError> {
        Ok(self.some_items(node, None, ids, None).await?.items)
    }

    /// A page of the items (§6.5.4). Not every service pages: see [`Items::page`].
    ///
    /// # Errors
    /// [`PubsubError`].
    pub async fn items_page(&self, node: Text, page: PageRequest) -> Result<Items, PubsubError> {
        self.some_items(node, None, Vec::new(), Some(page)).await
    }

    async fn some_items(
        &self,
        node: Text,
        max_items: Option<u32>,
        ids: Vec<Text>,
        page: Option<PageRequest>,
    ) -> Result<Items, PubsubError> {
        let ask = Ask::Items {
            node,
            max_items,
            subid: None,
            ids,
            page,
        };
        match self.ask(ask).await? {
            Answer::Items { items, page, .. } => Ok(Items { items, page }),
            Answer::Empty => Ok(Items::default()),
            _ => Err(PubsubError::Unexpected("a question for items")),
        }
    }
}

fn read_answer(answer: Option<Element>) -> Result<Answer, PubsubError> {
    match answer {
        None => Ok(Answer::Empty),
        Some(answer) if Answer::matches(&answer) => {
            Answer::from_element(&answer).map_err(unreadable)
        }
        Some(_) => Err(PubsubError::Unexpected("a request")),
    }
}

fn unreadable(error: stanchion_stanza::payload::PayloadError) -> PubsubError {
    RequestError::Unreadable(error.to_string()).into()
}

/// Where `set` is not what was wished.
fn differences(wish: &Form, set: &Form) -> Vec<Difference> {
    let about = |form: &Form, var: &str| form.field(var).map(|field| field.values.clone());
    let wanted = wish.fields.iter().filter_map(|field| {
        let var = field.var.clone()?;
        (var != "FORM_TYPE").then(|| (var, field.values.clone()))
    });
    let differ = |wanted: &[Text], set: Option<&[Text]>| {
        let truth = |text: &Text| match text.as_str() {
            "true" => "1".to_owned(),
            "false" => "0".to_owned(),
            other => other.to_owned(),
        };
        let plain = |texts: &[Text]| texts.iter().map(truth).collect::<Vec<_>>();
        match set {
            None => true,
            Some(_) if wanted == ["max"] => false,
            Some(set) => plain(wanted) != plain(set),
        }
    };
    let mut found = Vec::new();
    for (field, wanted) in wanted {
        let set = about(set, &field);
        if differ(&wanted, set.as_deref()) {
            found.push(Difference { field, wanted, set });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_stanza::payload::pubsub::Limit;

    #[test]
    fn what_a_service_did_not_set_as_wished_is_told() {
        let wish = NodeConfig {
            max_items: Some(Limit::At(10_000)),
            persist_items: Some(true),
            item_expire: Some(Limit::Max),
            ..NodeConfig::default()
        };
        let set = NodeConfig {
            max_items: Some(Limit::At(256)),
            persist_items: Some(true),
            item_expire: Some(Limit::At(604_800)),
            ..NodeConfig::default()
        };
        let told: Vec<_> = differences(
            &wish.to_form(FormType::Submit),
            &set.to_form(FormType::Form),
        )
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(told, ["pubsub#max_items is \"256\", not \"10000\""]);
        let told = differences(
            &wish.to_form(FormType::Submit),
            &NodeConfig::default().to_form(FormType::Form),
        );
        assert_eq!(told.len(), 3, "nothing is known of these");
    }
}
